"""The doctor: why a network does not learn.

`diagnose`, in `examination`, trains copies and asks one family of causes after the other: the rows
(`data_faults`), the loss (`loss_faults`), the network (`network_faults`), the optimiser
(`optimizer_faults`), the user's own step (`loop_faults`), and other rows (`generalisation_faults`).
What cannot be seen directly is a hypothesis (`hypotheses`), which is tested by its remedy;
`causes` says it in sentences.
"""

from microgradx.training.doctor.examination import diagnose, diagnose_history, lr_range_test
from microgradx.training.doctor.findings import Diagnosis, Finding
from microgradx.training.doctor.rates import RateRange

__all__ = ["Diagnosis", "Finding", "RateRange", "diagnose", "diagnose_history", "lr_range_test"]
