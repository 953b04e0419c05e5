"""The page docs/lint.md, made from the registry of rules: `python -m app.cli.lintdocs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from app.core.lint.finding import Rule
from app.core.lint.registry import RULES, UNSTATED

HEAD = """# Lint: policies that do not do what they say

`k8tre-tui lint` judges policies with the exact engine, where they stand: in a checkout, a snapshot, the live cluster, or a Markdown page that people copy from.

```
k8tre-tui lint gitops/                                 # files and folders, Markdown pages among them
k8tre-tui lint --snapshot ./gitops --flows events.log  # with what was seen to connect
k8tre-tui lint apps/web/policy.yaml                    # one file, judged with the checkout around it
k8tre-tui lint - --stdin-filename apps/web/policy.yaml # an editor's text in the file's place
k8tre-tui lint gitops/ --diff origin/main              # only what is new since a revision
k8tre-tui lint gitops/ --fix                           # mend what is certain
k8tre-tui lint --rules NP003                           # one rule, with examples
```

`-o table|json|jsonl|yaml|sarif|github|junit`; `--select` and `--ignore` take codes, the beginning of codes, or names; the exit code is 1 when something of severity
`--fail-on` (warning) or worse was found, 2 for wrong usage or input, 3 when a source failed. Files that no kustomization deploys are named, and judged as if they were.

## What a rule knows
A rule that lacks what it needs is silent, and the summary counts those. *One file* is enough for most; *the repository or a snapshot* gives the other policies, the workloads' templates, Services and
routes; *pods and services* are those of a cluster, live or from a snapshot; *flows* are recorded (`--flows`) or live. In a repository a selector that finds no template is told only where a label is
nearly another, because charts bring workloads that are not in it.

## Silencing
With the reason, on the object, or for a whole checkout in the settings; without a reason nothing is silenced, and that is a finding (NP000).

```yaml
metadata:
  annotations:
    k8tre-tui/ignore: "NP017,NP105 the namespace is meant"
```

```toml
[lint]
NP041 = "the control plane runs on our own nodes"
```

Old sins: `lint gitops/ --write-baseline lint-baseline.json` once, then `--baseline lint-baseline.json`: only what goes beyond it is told.

## Fixes
`--fix` writes what is certain and touches no other byte of the file; it says what the engine says of each before and after. Certain are a port joined with the FQDN beside it (NP003: only a dash goes), 53/TCP beside 53/UDP (NP009), the right key for a namespace's name (NP016), TCP beside HTTP rules (NP028), escaped dots (NP030), an `apiVersion` that is served (NP072), a header as requests have it (NP123), a server name without its final dot (NP124). Other changes are in the finding (`fix`, and `patch` in JSON where the program can write it).

## Before a commit, and on a pull request

`.pre-commit-config.yaml`:

```yaml
repos:
- repo: https://github.com/k8tre/k8tre-tui
  rev: v0.1.0
  hooks:
  - id: k8tre-tui-lint
```

GitHub, with the findings beside the lines of the change and in the security tab:

```yaml
name: policies
on: [pull_request]
permissions: {contents: read, security-events: write}
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v4
      with: {fetch-depth: 0}
    - uses: actions/setup-python@v5
      with: {python-version: "3.12"}
    - run: pip install k8tre-tui
    - run: k8tre-tui lint . --diff "origin/${{ github.base_ref }}" -o github
    - if: always()
      run: k8tre-tui lint . -o sarif --fail-on never > lint.sarif
    - if: always()
      uses: github/codeql-action/upload-sarif@v3
      with: {sarif_file: lint.sarif}
```

Gitea (`.gitea/workflows/policies.yaml`), which shows the same annotations in the job's log:

```yaml
name: policies
on: [pull_request]
jobs:
  lint:
    runs-on: ubuntu-latest
    container: python:3.12
    steps:
    - uses: actions/checkout@v4
      with: {fetch-depth: 0}
    - run: pip install k8tre-tui
    - run: k8tre-tui lint . --diff "origin/${{ gitea.base_ref }}" -o github
```

## Rules
Made from the registry by `python -m app.cli.lintdocs`; a test compares the two, and judges every example.
"""


def lint_page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, *_table(), ""]
    for rule in RULES:
        parts += _section(rule)
    parts += ["## Not told\n", "| Code | Why |", "|---|---|"]
    parts += [f"| {code} | {why} |" for code, why in UNSTATED.items()]
    return "\n".join(parts) + "\n"


def _table() -> Iterator[str]:
    yield "| Code | Name | Severity | Needs |"
    yield "|---|---|---|---|"
    for rule in RULES:
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.name})"
        yield f"| {link} | `{rule.name}` | {rule.severity.value} | {rule.needs.words} |"


def _section(rule: Rule) -> Iterator[str]:
    yield f"### {rule.code} {rule.name}\n"
    yield f"{rule.why}\n"
    yield f"Found:\n\n```yaml\n{rule.bad}```\n"
    yield f"Not found:\n\n```yaml\n{rule.good}```\n"


if __name__ == "__main__":
    sys.stdout.write(lint_page())
