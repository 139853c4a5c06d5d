"""
Owns what holds the documents true: their lists against the code, their recipes against a site.

`python -m tests.test_docs` writes the options of the real help into README.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import jsonschema
import pytest
from trustme import CA

from fetcher import __version__
from fetcher.cli.main import command
from fetcher.cli.status import ExitStatus
from fetcher.demo.server import LOOPBACK
from fetcher.errors import ErrorKind
from fetcher.policy import CURABLE
from fetcher.record import schema
from fetcher.sources.rows import KEYS
from tests.conftest import COMMAND, Afetch, MakeNginx, clean_environment
from tests.proxy_servers import running, tinyproxy
from tests.servers import Authority, Site

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = (
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "docs/record.md",
    ROOT / "docs/curl.md",
    ROOT / "docs/lists.md",
    ROOT / "docs/credentials.md",
    ROOT / "docs/saving.md",
    ROOT / "docs/resume.md",
)

BEGIN = "<!-- options: written by `python -m tests.test_docs` -->\n"
END = "<!-- /options -->"
HELP_COLUMNS = "100"

HOST = "https://example.com"
"""What stands in recipes for the site that they are tried on."""

UNRAISED = "Not raised by this version."

NOTEBOOK = """
import ast, asyncio, inspect, sys

async def main():
    code = compile(sys.stdin.read(), "recipe", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    ran = eval(code, {"__name__": "__main__"})
    if inspect.isawaitable(ran):
        await ran

asyncio.run(main())
"""
"""Runs a cell as a notebook does: where a loop runs already, and `await` may stand at the top."""


def read(path: Path) -> str:
    """The document's text."""
    return path.read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)


def section(document: str, title: str) -> str:
    """The part below a heading, up to the next of its rank."""
    match = re.search(rf"^(##+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", document, re.DOTALL | re.MULTILINE)
    assert match, title
    return match[2]


def first_cells(text: str) -> list[str]:
    """The first column of a table, without its head."""
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return [row.strip("`") for row in rows[1:]]


def options() -> str:
    """README's block of options, made from the help."""
    ended = subprocess.run(
        [*COMMAND, "--help"],
        env={**clean_environment(), "COLUMNS": HELP_COLUMNS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return f"{BEGIN}\n```text\n{ended.stdout[ended.stdout.index('Input:') :].rstrip()}\n```\n\n{END}"


def with_options(readme: str) -> str:
    """README with the options as they are."""
    head, rest = readme.split(BEGIN)
    return head + options() + rest.partition(END)[2]


def test_readme_has_the_options_of_the_help() -> None:
    """What README says of options is what the command says; `python -m tests.test_docs` writes it."""
    readme = read(README)

    assert readme == with_options(readme)


def test_documents_name_no_option_that_is_not_there() -> None:
    """Every long option in the documents exists, but for curl's own in curl's column and those not offered."""
    ours = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    curls = set(
        re.findall(r"--[a-z][a-z0-9-]+", " ".join(re.findall(r"^\| (.*?) \|", read(DOCUMENTS[3]), re.MULTILINE)))
    )
    curls |= set(re.findall(r"--[a-z][a-z0-9-]+", section(read(DOCUMENTS[3]), "Not offered"))) | {"--data-binary"}

    said = {name for path in DOCUMENTS for name in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", read(path))}

    assert said - ours - curls == {"--help"} - ours


def test_record_page_has_the_fields_of_the_schema() -> None:
    """Each field once, in the record's order; the changelog names the same."""
    fields = list(schema()["properties"])

    assert first_cells(section(read(DOCUMENTS[2]), "Fields")) == fields
    listed = re.search(r"has the fields (.*?); `saved` is", read(DOCUMENTS[1]), re.DOTALL)
    assert listed
    assert re.findall(r"`(\w+)`", listed[1]) == fields


def test_record_page_shows_a_record() -> None:
    """The example is a record by the schema, its fields in their order."""
    [example] = blocks(read(DOCUMENTS[2]), "json")

    record = json.loads(example)

    jsonschema.validate(record, schema())
    assert list(record) == list(schema()["properties"])


def test_lists_page_has_the_keys_of_a_row() -> None:
    """Each key that a row of JSON can have, in the order in which they are read."""
    assert first_cells(section(read(DOCUMENTS[4]), "JSON Lines")) == ["url", *KEYS]


def test_record_page_has_the_error_kinds() -> None:
    """Each kind once, in order, with what to do; those that no code raises yet say so. The changelog names the same."""
    text = section(read(DOCUMENTS[2]), "Error kinds")
    rows = dict(zip(first_cells(text), re.findall(r"^\| `.*$", text, re.MULTILINE), strict=True))
    # Kinds in a set are asked for, not raised.
    code = re.sub(
        r"frozenset\(\{.*?\}\)", "", "".join(read(path) for path in (ROOT / "fetcher").rglob("*.py")), flags=re.DOTALL
    )

    assert list(rows) == [kind.value for kind in ErrorKind]
    assert {kind for kind in ErrorKind if UNRAISED in rows[kind]} == {
        kind for kind in ErrorKind if f"ErrorKind.{kind.name}" not in code
    }
    listed = re.search(r"Error kinds are a stable list: (.*?)\.\n-", read(DOCUMENTS[1]), re.DOTALL)
    assert listed
    assert re.findall(r"`([\w-]+)`", listed[1]) == list(rows)


def test_readme_has_the_exit_statuses() -> None:
    """Each status that the command can end with is in the table."""
    statuses = re.findall(r"\d+", " ".join(first_cells(section(read(README), "Usage"))))

    assert sorted(map(int, statuses)) == sorted(ExitStatus)


def test_readme_has_the_list_of_what_is_tried_again() -> None:
    """Whoever wants one more has to write them all: they can be copied."""
    [listed] = blocks(section(read(README), "Patience"), "text")

    assert tuple(listed.strip().split(",")) == CURABLE


def test_changelog_has_this_version() -> None:
    """The newest entry is the version that there is."""
    assert re.findall(r"^## (\S+)", read(DOCUMENTS[1]), re.MULTILINE)[0] == __version__


def test_nothing_tells_to_install_somebody_elses_package() -> None:
    """The name on PyPI is not ours: no text of ours says to install it from there."""
    wrong = re.compile(r"(?:pip|pipx|uvx?)\s+(?:tool\s+)?(?:install|run)\s+(?:-\S+\s+)*[\"']?" + r"afetch(?![\w-])")
    texts = [path for kind in ("*.md", "*.py", "*.toml", "*.txt") for path in _ours(kind)]

    assert README in texts
    assert [path for path in texts if wrong.search(read(path))] == []


def _ours(pattern: str) -> Iterator[Path]:
    yield from ROOT.glob(pattern)
    for folder in ("docs", "fetcher", "tests"):
        yield from (ROOT / folder).rglob(pattern)


def test_links_lead_somewhere() -> None:
    """Every relative link of the documents is a file, and its heading is there."""
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)]+)\)", read(path)):
            name, _, heading = target.partition("#")
            linked = (path.parent / name) if name else path

            assert linked.exists(), target
            if heading:
                titles = re.findall(r"^#+ (.+)$", read(linked), re.MULTILINE)
                assert heading in [title.lower().replace(" ", "-") for title in titles], target


def test_example_configuration_is_read(afetch: Afetch, site: Site) -> None:
    """README's file is one, and its header is sent."""
    [toml] = blocks(section(read(README), "Configuration"), "toml")
    (afetch.folder / "afetch.toml").write_text(toml)

    ended = afetch(site.echo(), "--json", "--config", "afetch.toml")

    assert ended.returncode == 0, ended.stderr
    assert ["Accept", "application/json"] in ended.records[0]["body"]["headers"]


def test_variables_of_readme_are_options() -> None:
    """Every AFETCH_ variable that README names sets an option."""
    names = {
        max(param.opts, key=len).removeprefix("--").replace("-", "_").upper()
        for param in command.params
        if isinstance(param, click.Option)
    }

    said = set(re.findall(r"\bAFETCH_([A-Z_]+)", read(README)))

    assert "CONCURRENCY" in said
    assert said <= names


@pytest.fixture
def shop(site: Site, afetch: Afetch) -> Site:
    """The site, the lists and the folder that recipes are tried on; the working folder has them."""
    site.page("<h1>Hello</h1>\n", path="/")
    site.page("gone\n", 404, path="/missing")
    for number in range(1, 6):
        site.json({"id": number}, path=f"/items/{number}")
    folder = afetch.folder
    (folder / "urls.txt").write_text(f"# a list\n{site.url('/')}\n{site.url('/missing')}\n{site.url('/items/1')}\n")
    (folder / "ids.csv").write_text('id,name\n1,Ann\n9,"Bob ""B"""\n')
    (folder / "growing.txt").write_text(f"{site.url('/')}\n")
    (folder / "notes").mkdir()
    (folder / "notes/one.md").write_text(f"See [one]({site.url('/')}) and <{site.url('/items/1')}>.\n")
    return site


def shell(recipe: str, shop: Site, folder: Path) -> subprocess.Popen[str]:
    """A recipe under way, in the folder, with `afetch` on the path and the site for the host."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    for tool in ("jq", "sqlite3"):
        if tool in recipe and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    # The command by its name, though its environment need not be active.
    afetch = f'afetch() {{ "{sys.executable}" -m fetcher "$@"; }}\n'
    return subprocess.Popen(
        [bash, "-c", afetch + recipe.replace(HOST, shop.origin)],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def recipes(language: str) -> list[str]:
    """All that README gives to be copied and run, but for its first screen."""
    return [block for title in RECIPES for block in blocks(section(read(README), title), language)]


def recipe_named(title: str) -> str:
    """The shell recipe below this sentence."""
    match = re.search(rf"^{re.escape(title)}.*?\n\n```sh\n(.*?)^```$", read(README), re.DOTALL | re.MULTILINE)
    assert match, title
    return match[1]


RECIPES = ("Recipes", "Formats", "Stopping and going on")
"""The chapters of README that have some."""

Check = Callable[[str, Site], bool]

SHELL: dict[str, tuple[int, Check]] = {
    "Check the links of a list": (0, lambda out, shop: out == shop.url("/missing") + "\n"),
    "The same with the reason": (
        0,
        lambda out, shop: len(out.splitlines()) == 1 and out.startswith("404\t5\t") and "/missing" in out,
    ),
    "Save answers as JSON Lines": (
        0,
        lambda out, shop: (
            sorted(out.splitlines())
            == sorted(
                f'[{status},"{shop.url(path)}"]' for status, path in ((200, "/"), (404, "/missing"), (200, "/items/1"))
            )
        ),
    ),
    "Ask an API for ids": (0, lambda out, shop: sorted(out.split()) == [f'{{"id":{n}}}' for n in range(1, 6)]),
    "Ask an API for every row of a table": (
        0,
        lambda out, shop: sorted(out.splitlines()) == ['"1","Ann",200,1', '"9","Bob ""B""",404,""'],
    ),
    "Check every link of a folder": (0, lambda out, shop: {line[:3] for line in out.splitlines()} == {"200"}),
    "In CI, fail on servers' errors": (0, lambda out, shop: len(out.splitlines()) == 3),
    "See what changed since the last time": (
        0,
        lambda out, shop: sorted(out.splitlines()) == [f"new\t{shop.url(path)}" for path in ("/", "/items/1")],
    ),
    "Count statuses with jq": (0, lambda out, shop: out == "[200,2]\n[404,1]\n"),
    "Ask SQLite": (0, lambda out, shop: out == "200|2\n404|1\n"),
    "Make a table for a spreadsheet": (
        0,
        lambda out, shop: (
            sorted(out.splitlines())
            == sorted(
                [
                    "url,status,extra.name,body.id",
                    f"{shop.url('/items/1')},200,Ann,1",
                    f'{shop.url("/items/9")},404,"Bob ""B""",',
                ]
            )
        ),
    ),
    "Save pages as files": (
        0,
        lambda out, shop: (
            {line.partition("\t")[2] for line in out.splitlines()} == {shop.url("/"), shop.url("/items/1")}
        ),
    ),
    "Archive a site as a WARC": (1, lambda out, shop: len(out.splitlines()) == 3),
    "Ctrl-C ends a run in good order": (0, lambda out, shop: "3 records there, 1 of them failed" in out),
    "Fetch again what failed": (
        1,
        lambda out, shop: out == "" and [asked.target for asked in shop.log].count("/missing") == 2,
    ),
    "Or keep the failed entries": (1, lambda out, shop: out.startswith("404\t") and len(out.splitlines()) == 1),
    "Send the same form": (1, lambda out, shop: {json.loads(line)["method"] for line in out.splitlines()} == {"POST"}),
}
"""What each recipe of README ends with and prints."""

ENDLESS = "Fetch what is added to a list"

CLIENT, CLIENT_URL = "Show a certificate of your own", "https://internal.example.com/"

PROXY, PROXY_HOST = "Go through a proxy", "proxy.example.com:3128"


@pytest.mark.parametrize("title", SHELL)
def test_shell_recipe_does_what_it_says(title: str, shop: Site, afetch: Afetch) -> None:
    """A recipe of README, run as it stands."""
    status, right = SHELL[title]

    with shell(recipe_named(title), shop, afetch.folder) as process:
        out, err = process.communicate(timeout=30)

    assert process.returncode == status, err
    assert right(out, shop), out


def test_recipe_for_a_growing_list_fetches_what_is_added(shop: Site, afetch: Afetch) -> None:
    """What stands in the list and what is added later are fetched; Ctrl-C ends it, and no record is lost."""
    with shell(recipe_named(ENDLESS), shop, afetch.folder) as process:
        try:
            shop.wait(1)
            with (afetch.folder / "growing.txt").open("a") as growing:
                growing.write(shop.url("/items/2") + "\n")
            shop.wait(2)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)

    assert [json.loads(line)["url"] for line in out.splitlines()] == [shop.url("/"), shop.url("/items/2")], err


def test_recipe_for_a_proxy_goes_through_one(shop: Site, afetch: Afetch, tmp_path: Path) -> None:
    """A tinyproxy with those credentials; the site hears from it what it was asked."""
    with running(tinyproxy(tmp_path, "BasicAuth user password")) as proxy:
        recipe = recipe_named(PROXY).replace(PROXY_HOST, f"{LOOPBACK}:{proxy.port}")
        with shell(recipe, shop, afetch.folder) as process:
            out, err = process.communicate(timeout=30)

    assert process.returncode == 1, err
    assert sorted(line[:3] for line in out.splitlines()) == ["200", "200", "404"], err
    assert all("tinyproxy" in dict(request.headers)["Via"] for request in shop.log)


def test_recipe_for_a_certificate_shows_it(nginx: MakeNginx, authority: Authority, shop: Site, afetch: Afetch) -> None:
    """An nginx that wants a certificate of its clients, and has one of a private authority itself."""
    folder = afetch.folder
    mine = CA()
    me = mine.issue_cert("me@example.com")
    me.cert_chain_pems[0].write_to_path(folder / "me.pem")
    me.private_key_pem.write_to_path(folder / "me.key")
    mine.cert_pem.write_to_path(folder / "clients.pem")
    (folder / "authority.pem").write_bytes(authority.ca_file.read_bytes())
    server = nginx(
        f"ssl_certificate {authority.cert_file}; ssl_certificate_key {authority.key_file};\n"
        f"ssl_client_certificate {folder}/clients.pem; ssl_verify_client on;\n"
        "location / { return 200 $ssl_client_verify; }",
        tls=True,
    )
    recipe = recipe_named(CLIENT).replace(CLIENT_URL, server.url("/"))

    with shell(recipe, shop, folder) as process:
        out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert out.startswith("200\t7\t")


def test_every_shell_recipe_is_tried() -> None:
    """A recipe of README that has no test here is none."""
    assert sorted(recipes("sh")) == sorted(recipe_named(title) for title in (*SHELL, ENDLESS, PROXY, CLIENT))


PYTHON = (
    "200 200 15\n404 404 5\n",
    "1\n2\n3\n4\n5\n",
    "404\n",
    "{200: 2, 404: 1}\n",
    "[(200, 2), (404, 1)]\n[(3,)]\n",
    "1\n{200: 24, 404: 5}\n",
)
"""What the Python recipes print, the lines sorted."""


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_recipe_does_what_it_says(number: int, shop: Site, afetch: Afetch) -> None:
    """A recipe of README, run as a notebook's cell is; what it reads is there."""
    recipe = recipes("python")[number]
    for name in ("duckdb", "pandas", "pyarrow"):
        if name in recipe or (name == "pyarrow" and "parquet" in recipe):
            pytest.importorskip(name, reason=f"{name} is not installed (it is in the extra dev)")
    outputs = sorted(set(re.findall(r'["\']((?:answers|all)\.\w+)["\']', recipe)))
    if outputs:
        assert afetch("urls.txt", "-q", *(part for name in outputs for part in ("-o", name))).returncode == 1

    ended = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=recipe.replace(HOST, shop.origin),
        cwd=afetch.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "".join(sorted(ended.stdout.splitlines(keepends=True))) == PYTHON[number]


def test_every_python_recipe_is_tried() -> None:
    """As many recipes as there are expectations."""
    assert len(recipes("python")) == len(PYTHON)


if __name__ == "__main__":
    README.write_text(with_options(read(README)), encoding="utf-8")
