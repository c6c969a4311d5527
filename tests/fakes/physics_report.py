"""A physics report with a few made-up numbers, where measuring is not what is tested."""

from worldmodel.evaluation.moments.grounds import ProbeNote
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.report_data import Answer, ModelFindings, PhysicsReport, Split
from worldmodel.evaluation.rows.measures import Measured
from worldmodel.evaluation.rows.rows import COPY, DEAF, NOISY, SIMULATOR
from worldmodel.evaluation.settings import SIZES
from worldmodel.evaluation.statistics import Interval


def physics_report(models: list[str]) -> PhysicsReport:
    """Every row has an nRMSE and an endless usable horizon, nothing else."""
    nothing = NotMeasured("It was not measured.")
    names = [SIMULATOR, NOISY, COPY, *(name for model in models for name in (model + DEAF, model))]
    numbers = {"nrmse": Interval(0.5, 0.4, 0.6), "usable": Interval(float("inf"), 3.0, float("inf"))}
    rows = {name: Measured(numbers, {}, {}) for name in names}
    answers = {name: Answer({"cf_r2": Interval(0.7, 0.6, 0.8)}, []) for name in names}
    findings = {model: ModelFindings({"arrow": nothing}, nothing, nothing, nothing) for model in models}
    return PhysicsReport(
        env="worldmodel/Push-v0",
        models=models,
        config=SIZES["smoke"],
        probe=ProbeNote("none", {}, {}, [], "There is no instrument here."),
        splits=[Split("id", 3, 3, 25, rows, [], {})],
        answers=answers,
        answered=2,
        findings=findings,
    )
