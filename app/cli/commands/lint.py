"""`lint`: which policies do not do what they say?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_output_options

if TYPE_CHECKING:
    from app.bootstrap.lint import Target
    from app.services.lint import LintReport, LintRequest

EXAMPLE = """  k8tre-tui lint gitops/
  k8tre-tui lint --snapshot ./gitops --flows events.log --select NP1,fqdn-without-dns-rule
  k8tre-tui lint apps/jupyterhub/policy.yaml README.md -o sarif > lint.sarif
  k8tre-tui lint - --stdin-filename apps/policy.yaml < draft.yaml
  k8tre-tui lint gitops/ --diff origin/main --fail-on error
  k8tre-tui lint --rules NP003

silence a finding on the object, with the reason, by the annotation
  k8tre-tui/ignore: NP017,NP105 the namespace is meant
exit code 1 when something of severity --fail-on or worse was found"""

FORMATS = ("table", "json", "jsonl", "yaml", "sarif", "github", "junit")
NEVER = "never"


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files, folders, Markdown pages, or - for standard input",
    )
    parser.add_argument(
        "--stdin-filename",
        default="",
        metavar="FILE",
        help="the file that standard input stands for",
    )
    for name, text in (
        ("select", "only these codes or names, separated by commas; NP1 means all that begin so"),
        ("ignore", "all but these"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="CODES", help=text)
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "info", NEVER),
        default="warning",
        help="the mildest severity that makes the exit code 1 (default: warning)",
    )
    parser.add_argument(
        "--diff", default="", metavar="REV", help="only what is new since a revision"
    )
    parser.add_argument(
        "--baseline", default="", metavar="FILE", help="leave out what stands in FILE"
    )
    parser.add_argument(
        "--write-baseline", default="", metavar="FILE", help="write down what is found now"
    )
    parser.add_argument(
        "--fix", action="store_true", help="mend what is certain, in the files themselves"
    )
    parser.add_argument(
        "--rules", nargs="?", const="", default=None, metavar="CODE", help="list the rules, or one"
    )
    add_output_options(parser, FORMATS)


def run(context: Context) -> int:
    """Find, and print."""
    from dataclasses import replace

    from app.bootstrap.lint import read_text
    from app.core.lint.finding import Severity
    from app.core.lint.registry import choose
    from app.services.lint import LintRequest
    from app.services.lint_fixes import with_patches

    args = context.args
    rules = choose(_codes(args.select), _codes(args.ignore))
    if args.rules is not None:
        return _list_rules(context)
    target = _target(context)
    ignored = context.config.settings.lint
    request = LintRequest(rules, ignored, whole=target.whole)
    report = _narrowed(context, _judge(target, request), request)
    if args.fix:
        report = _fix(context, target, report)
    if args.write_baseline:
        return _write_baseline(context, report)
    report = replace(report, findings=with_patches(report.findings, read_text))
    _print(context, report)
    if args.fail_on == NEVER:
        return 0
    return 1 if report.at_least(Severity(args.fail_on)) else 0


def _codes(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(one.strip() for word in words for one in word.split(",") if one.strip())


def _target(context: Context) -> Target:
    from app.bootstrap.lint import STDIN, read_standard_input, read_target
    from app.core.errors import UsageError

    args = context.args
    named = tuple(path for path in args.paths if path != STDIN)
    stdin = len(named) < len(args.paths)
    if stdin and named:
        raise UsageError("standard input stands alone", hint="lint - --stdin-filename FILE")
    file = args.stdin_filename or "stdin.yaml"
    flows = context.recent_flows if args.flows or args.replay or _is_demo_or_live(context) else None
    if not stdin:
        target = read_target(context.sources, context.config.settings, named, flows=flows)
        context.say_notices([one for one in target.picture.notices if one.severity == "error"])
        return target
    around = (file,) if Path(file).is_file() else ()
    if not around and not (context.sources.snapshots or context.sources.demo):
        from app.bootstrap.lint import Target
        from app.services.picture import empty_picture

        return read_standard_input(Target(empty_picture()), context.stdin.read(), file)
    target = read_target(context.sources, context.config.settings, around, flows=flows)
    return read_standard_input(target, context.stdin.read(), file)


def _is_demo_or_live(context: Context) -> bool:
    sources = context.sources
    return sources.demo or (sources.live_objects and not context.args.paths)


def _judge(target: Target, request: LintRequest) -> LintReport:
    from dataclasses import replace

    from app.services.lint import joined, lint_documents, lint_picture

    report = lint_picture(target.picture, target.manifests, flows=target.flows, request=request)
    if target.files is not None:
        meant = tuple(one for one in report.findings if target.is_meant(one.file))
        quiet = tuple(one for one in report.silenced if target.is_meant(one.finding.file))
        number = sum(target.is_meant(one.file) for one in target.picture.cluster.policies)
        report = replace(report, findings=meant, silenced=quiet, policies=number)
    if not target.documents:
        return report
    return joined(report, lint_documents(target.picture, target.documents, request))


def _narrowed(context: Context, report: LintReport, request: LintRequest) -> LintReport:
    """Leave out what was there before: in the baseline, or in the revision of `--diff`."""
    from dataclasses import replace

    from app.core.lint.baseline import count, newly_found

    args = context.args
    if args.baseline:
        from app.bootstrap.lint import load_baseline

        known = load_baseline(args.baseline)
        report = replace(report, findings=newly_found(report.findings, known))
    if args.diff:
        from app.bootstrap.lint_diff import target_at

        before = target_at(context.sources, context.config.settings, args.paths, args.diff)
        known = count(_judge(before, request).findings)
        report = replace(report, findings=newly_found(report.findings, known))
    return report


def _fix(context: Context, target: Target, report: LintReport) -> LintReport:
    from dataclasses import replace

    from app.bootstrap.lint import read_text, write_text
    from app.services.lint_fixes import find_fixes

    done: set[int] = set()
    for fix in find_fixes(target.picture, report.findings, read_text):
        write_text(fix.file, fix.after)
        done |= set(map(id, fix.mended))
        for one, told in zip(fix.mended, fix.told, strict=True):
            context.out.say(f"fixed {one.code} in {one.file}:{one.line}: {told}")
    return replace(report, findings=tuple(one for one in report.findings if id(one) not in done))


def _write_baseline(context: Context, report: LintReport) -> int:
    import json

    from app.core.errors import BadInput
    from app.core.lint.baseline import baseline_form

    file = Path(context.args.write_baseline)
    try:
        file.write_text(
            json.dumps(baseline_form(report.findings), indent=2) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise BadInput(f"cannot write `{file}`: {error.strerror}", file=str(file)) from error
    context.out.say(f"{len(report.findings)} findings written to {file}")
    return 0


def _print(context: Context, report: LintReport) -> None:
    from app.bootstrap.lint import read_demo_lines, read_lines
    from app.cli.render.lint import print_findings, print_github, print_junit
    from app.cli.render.sarif import sarif_form
    from app.services.contract import finding_form, listing

    form = context.args.output
    if form == "table":
        print_findings(context.out, report, read_demo_lines if context.sources.demo else read_lines)
    elif form == "github":
        print_github(context.out, report)
    elif form == "junit":
        print_junit(context.out, report)
    elif form == "sarif":
        context.out.json(sarif_form(report))
    elif form == "jsonl":
        context.out.jsonl(map(finding_form, report.findings))
    else:
        context.print_documents([listing(map(finding_form, report.findings))])


def _list_rules(context: Context) -> int:
    from app.cli.render.lint import print_rule, print_rules, rule_form
    from app.core.lint.registry import RULES, choose
    from app.services.contract import listing

    asked = context.args.rules
    rules = choose((asked,)) if asked else RULES
    if context.args.output == "table":
        if asked:
            for rule in rules:
                print_rule(context.out, rule)
        else:
            print_rules(context.out, rules)
    else:
        context.print_documents([listing(map(rule_form, rules))])
    return 0
