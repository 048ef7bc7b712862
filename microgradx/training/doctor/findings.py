"""What the doctor reports: findings, in plain sentences, the most important first."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Literal

__all__ = ["Diagnosis", "Finding", "Severity"]

Severity = Literal["error", "warning", "note"]

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One cause: what is wrong, the numbers that show it, and what to change.

    An "error" prevents learning or makes a result meaningless, a "warning" makes it worse, a "note"
    may be deliberate.
    """

    kind: str
    sentence: str
    remedy: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.kind}: {self.sentence} {self.remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """The findings of `diagnose`, in order of importance; true if there are any.

    `summary` says what the doctor saw when it trained a copy. It iterates over its findings, has
    their number as `len`, and their `kinds` as a list.
    """

    summary: str
    findings: tuple[Finding, ...] = ()

    @classmethod
    def from_findings(cls, summary: str, findings: Sequence[Finding]) -> Diagnosis:
        """Rank findings by severity; those of one severity stay in their order."""
        ranked = sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
        return cls(summary, tuple(ranked))

    @property
    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.findings]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, index: int) -> Finding:
        return self.findings[index]

    def __str__(self) -> str:
        lines = [fill(self.summary, 100)]
        if not self.findings:
            lines.append("Nothing was found that keeps it from learning.")
        for number, finding in enumerate(self.findings, 1):
            lines += [
                "",
                fill(
                    f"{number}. {finding.kind} ({finding.severity}). {finding.sentence}",
                    100,
                    subsequent_indent="   ",
                ),
                fill(finding.remedy, 100, initial_indent="   → ", subsequent_indent="     "),
            ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What notebooks show."""
        items = "".join(
            f"<li><b>{html.escape(finding.kind)}</b> ({finding.severity}). "
            f"{html.escape(finding.sentence)}<br>→ {html.escape(finding.remedy)}</li>"
            for finding in self.findings
        )
        found = f"<ol>{items}</ol>" if items else "<p>Nothing was found.</p>"
        return f"<div><p>{html.escape(self.summary)}</p>{found}</div>"
