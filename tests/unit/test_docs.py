"""The documentation says what is true of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from collab import errors
from collab.config import Config, unknown_variables, variables

ROOT = Path(__file__).resolve().parents[2]


def test_the_configuration_page_lists_every_variable_with_its_default_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| `--[\w-]+` \| (.+?) \|", page, re.MULTILINE))
    assert listed == {
        setting.metadata["variable"]: str(setting.default) if setting.default != "" else "none"
        for setting in fields(Config)
    }


def test_the_configuration_page_lists_every_secret_with_its_file() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| `(\w+_FILE)` \|", page, re.MULTILINE)
    secret = [setting for setting in fields(Config) if setting.metadata["secret"]]
    assert listed == [tuple(variables(setting)) for setting in secret]


def test_no_variable_that_the_deployment_has_of_its_own_is_taken_for_a_mistake() -> None:
    places = [ROOT / name for name in ("Makefile", "Procfile", "docker-compose.scale.yml", ".env")]
    for folder in ("deploy", "loadtest"):
        places += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = "".join(path.read_text(errors="replace") for path in places)
    used = dict.fromkeys(re.findall(r"\bCOLLAB_[A-Z_]+\b", text), "")
    assert "COLLAB_PUBLIC_PORT" in used and not list(unknown_variables(used))


def test_the_readme_explains_every_error_code_a_client_can_meet() -> None:
    readme = (ROOT / "README.md").read_text()
    for error in errors.CollabError.__subclasses__():
        if error is not errors.ConfigError:
            assert f"`{error.code}`" in readme, error.code


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(path), f"{page.name}: {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Return what a link can name in a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
