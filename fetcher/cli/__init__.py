"""The command line: the only room that imports click. Nothing is imported here, so that its parts stay light."""
