"""What is reported: the order, and how it is shown."""

import numpy as np

from microgradx.training.doctor import Diagnosis, Finding
from microgradx.training.doctor.causes import describe_course
from microgradx.training.doctor.rates import RateRange
from microgradx.training.doctor.trials import Remedy, Trial


def diagnosis():
    findings = [
        Finding("c", "third.", "mend c.", severity="note"),
        Finding("b", "second <b>.", "mend b.", {"x": 1.0}, "warning"),
        Finding("a", "first.", "mend a."),
        Finding("d", "also an error.", "mend d."),
    ]
    return Diagnosis.from_findings("It was looked at.", findings)


def test_findings_are_ranked_by_severity_and_stay_in_order():
    found = diagnosis()
    assert found.kinds == ["a", "d", "b", "c"]
    assert found
    assert len(found) == 4
    assert found[2].numbers == {"x": 1.0}
    assert [finding.kind for finding in found] == found.kinds


def test_it_is_false_and_says_so_if_nothing_was_found():
    found = Diagnosis("It was looked at.")
    assert not found
    assert str(found).splitlines() == [
        "It was looked at.",
        "Nothing was found that keeps it from learning.",
    ]


def test_text_and_html_have_sentences_and_remedies():
    found = diagnosis()
    assert "1. a (error). first.\n   → mend a." in str(found)
    assert repr(found) == str(found)
    page = found._repr_html_()
    assert "second &lt;b&gt;." in page
    assert page.count("<li>") == 4


def test_one_step_is_not_steps():
    trial = Trial(Remedy(), before=2.0, after=1.0, explained=0.5, losses=[2.0])
    assert describe_course(trial) == "the loss went from 2 to 1 in 1 step"
    trial.losses *= 3
    assert describe_course(trial) == "the loss went from 2 to 1 in 3 steps"
    assert "of 1 step," in repr(RateRange(np.ones(1), np.ones(1)))
