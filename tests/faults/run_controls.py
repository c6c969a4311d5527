"""The negative controls: known faults in true simulator rollouts, and what each metric must say of them.

    python tests/faults/run_controls.py DATASET controls.json [size=standard] [probe.KEY=NUMBER ...]

tries them on a dataset with the probe of its physics reports, and writes what `worldmodel evaluate
physics.controls=controls.json` reads: a metric that fails prints "untrusted" there instead of a number.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import motion_faults
import number_faults
import object_faults
from fault_bench import Bench

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.controls import FORMAT, Check, Control, untrusted
from worldmodel.evaluation.moments.grounds import SimulatorGround, chosen_first
from worldmodel.evaluation.settings import physics_config
from worldmodel.files import write_json
from worldmodel.progress import progress

CONTEXTS, STEPS, BRANCHED = 24, 30, 16

_FAULTS: Sequence[tuple[str, Callable[[Bench], list[Check]]]] = (
    ("an object deleted in 20 % of its frames", object_faults.deleted),
    ("an object doubled in 20 % of its frames", object_faults.doubled),
    ("an object elsewhere in 20 % of its frames", object_faults.teleported),
    ("two objects with swapped colours in 20 % of the frames", object_faults.swapped),
    ("frozen after a quarter of the steps", motion_faults.frozen),
    ("time reversed", motion_faults.reversed_time),
    ("actions shuffled, negated, halved", motion_faults.wrong_actions),
    ("brightness, blur, noise of 12 grey levels", motion_faults.disturbed),
    ("gravity, mass, friction times 0.6 to 1.4", motion_faults.wrong_physics),
    ("nothing: truth against truth", motion_faults.nothing_wrong),
    ("a body 5 to 50 mm inside another", motion_faults.penetrating),
    ("spread of the samples times 0.5 and 2", number_faults.wrong_spread),
    ("policies with each other's returns, and all the same", number_faults.permuted),
    ("real and dream swapped", number_faults.swapped_arguments),
)


def run_controls(bench: Bench) -> list[Control]:
    """All fourteen, on the bench's contexts and with its probe."""
    bar = progress(enumerate(_FAULTS, start=1), total=len(_FAULTS), desc="trying the metrics", unit="fault")
    return [Control(number, fault, tuple(run(bench))) for number, (fault, run) in bar]


def main(data: str, out: str, *settings: str) -> None:
    """Try them on held-out moments of a dataset with simulator states, at the size and with the settings given as
    size=standard, probe.KEY=NUMBER."""
    given = dict(text.split("=", 1) for text in settings)
    probe = {key.removeprefix("probe."): int(value) for key, value in given.items() if key != "size"}
    config = physics_config({"size": given.get("size", "standard"), "probe": probe})
    dataset = EpisodeDataset(data)
    ground = SimulatorGround(dataset, 4, config.probe)
    contexts = chosen_first(ground.contexts(config.contexts, config.horizon, config.seed), CONTEXTS, STEPS)
    controls = run_controls(Bench(contexts, ground.subject, ground.probe, BRANCHED, seed=config.seed))
    rows = [asdict(control) for control in controls]
    write_json(Path(out), {"format": FORMAT, "probe": ground.probe.version, "controls": rows})
    print(f"untrusted: {untrusted(controls) or 'none'}; all results: {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
