"""What would change: with the objects of a draft file, or without a policy."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from app.core.errors import K8treError
from app.core.model.cluster import Cluster
from app.core.model.provenance import Manifest, ObjectRef
from app.services.effect import EffectReport, apart, what_if
from app.services.inventory import one_policy
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.session import Session, judges_alike
from app.tui.views import effect as views
from app.tui.views.words import field, ref_text, source_text
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.spans import Span, Tone


class WhatIf(DocumentScreen):
    """`args` are files of policies as they would be, and names of policies as if they were gone."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.WHAT_IF, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.WHAT_IF)]

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._files = tuple(word for word in place.args if Path(word).is_file())
        self._names = tuple(word for word in place.args if word not in self._files)
        self._compared: Cluster | None = None
        self._note = ""

    def show_picture(self, picture: Picture) -> None:
        """Compare as soon as there is something; later say that it was of before."""
        if not self.session.has_read:
            self.document.show((paragraph("Nothing has been read yet."),))
        elif self._compared is None:
            self._compare(picture)
        elif not judges_alike(picture.cluster, self._compared):
            self._note = "changed meanwhile"

    def _compare(self, picture: Picture) -> None:
        self._compared = picture.cluster
        self._note = "comparing"
        self.document.show((paragraph("Asking about every pair, before and after."),))
        self.work("what-if", self._show_effect(picture))

    async def _show_effect(self, picture: Picture) -> None:
        manifests = self.session.workspace.manifests()
        flows = self.session.workspace.evidence()

        def compare(gone: list[ObjectRef]) -> EffectReport:
            drafts = [one for file in self._files for one in self.session.read_drafts(file)]
            before = apart(picture)
            return what_if(before, manifests, upserts=drafts, deletes=gone, flows=flows)

        try:
            gone = [one_policy(picture, name) for name in self._names]
            report = await asyncio.to_thread(compare, gone)
        except K8treError as error:
            hint = (paragraph(Span(error.hint, Tone.DIM)),) if error.hint else ()
            self.document.show((paragraph(Span(str(error), Tone.BAD)), *hint))
        else:
            changes = _changes(self._files, gone, manifests)
            self.document.show((*changes, *views.describe(report, self.session.marks)))
        if self._note == "comparing":
            self._note = ""
        self.draw_frame()

    def status(self) -> StatusView:
        """Say what is compared, and whether that was of before."""
        notes = (Span(self._note, Tone.WARN),) if self._note else ()
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("what-if", *self.place.args), view=view, notes=notes)

    def do_again(self) -> None:
        """Compare again, with the policies of now."""
        self._compare(self.session.picture)

    def do_copy_command(self) -> None:
        """Copy the command line that asks the same."""
        files = [word for file in self._files for word in ("-f", file)]
        gone = [word for name in self._names for word in ("--delete", name)]
        self.copy(shlex.join(["k8tre-tui", "what-if", *files, *gone]), "the command")


def _changes(
    files: tuple[str, ...], gone: list[ObjectRef], manifests: tuple[Manifest, ...]
) -> Iterator[Paragraph]:
    """What is supposed, and how it would be done: nothing here does it."""
    for file in files:
        yield field("As in", Span(file, Tone.STRONG))
    for manifest in manifests:
        if manifest.ref in gone:
            at = source_text(manifest.file, manifest.line_of(""))
            name = Span(ref_text(manifest.ref), Tone.STRONG)
            yield field("Without", name, Span(f"  {at}", Tone.ACCENT))
    if gone:
        yield field("", Span("to remove it, remove it there, in a pull request", Tone.DIM))
