import pytest

from app.core.documents.codeowners import OwnerRule, owners_of, parse_codeowners

TEXT = """\
# who looks after what
*                  @org/all
*.md               @org/docs
/apps/             @org/apps
apps/*             @org/top   # only the files right in it
docs/**/net.yaml   @org/net mail@example.org
/apps/quiet/
!/no   @nobody
"""


def test_rules_keep_their_line_and_skip_what_github_skips() -> None:
    rules = parse_codeowners(TEXT)
    assert rules[0] == OwnerRule("*", ("@org/all",), 2)
    assert [rule.line for rule in rules] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("Makefile", ("@org/all",)),
        ("a/b/c.md", ("@org/docs",)),
        ("apps/one.yaml", ("@org/top",)),
        ("apps/web/deep/one.yaml", ("@org/apps",)),
        ("other/apps/web/one.yaml", ("@org/all",)),
        ("docs/net.yaml", ("@org/net", "mail@example.org")),
        ("docs/a/b/net.yaml", ("@org/net", "mail@example.org")),
        ("apps/quiet/one.yaml", ()),
    ],
)
def test_last_rule_that_fits_names_the_owners(path: str, owners: tuple[str, ...]) -> None:
    assert owners_of(path, parse_codeowners(TEXT)) == owners
