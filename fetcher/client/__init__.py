"""The wire: the only room that imports aiohttp. Nothing is imported here, so that its configuration stays light."""
