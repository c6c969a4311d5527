"""The whole study of one or several models on one dataset: contexts, rows, branches, samples, closed loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError, WorldModelError
from worldmodel.evaluation.controls import read_controls, untrusted
from worldmodel.evaluation.moments.games import GameGround
from worldmodel.evaluation.moments.grounds import Ground, SimulatorGround, has_states
from worldmodel.evaluation.moments.rollouts import Contexts, Source
from worldmodel.evaluation.moments.splits import combined_contexts, unfamiliar_contexts, unfamiliar_options
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.parts import Parts
from worldmodel.evaluation.probe.probe import FrozenProbe, data_version
from worldmodel.evaluation.report_data import ModelFindings, Order, PhysicsReport, Split
from worldmodel.evaluation.rows.branching import measure_branches
from worldmodel.evaluation.rows.closed_loop import (
    ClosedLoop,
    Stage,
    measure_closed_loop,
    needs_rewards,
    optimised_in,
    population,
)
from worldmodel.evaluation.rows.measures import (
    Number,
    arrow,
    intervals,
    measure_rows,
    present_estimate,
    state_estimate,
)
from worldmodel.evaluation.rows.policies import PixelEyes, ProbeEyes, is_made
from worldmodel.evaluation.rows.rows import (
    COPY,
    DEAF,
    IDLE,
    NOISY,
    SHUFFLED,
    SIMULATOR,
    Row,
    Scene,
    contexts_key,
    is_reference,
    model_rows,
    model_source,
    prepare,
    read_row,
    references,
)
from worldmodel.evaluation.rows.samples import measure_samples
from worldmodel.evaluation.rows.showing import shown_pictures
from worldmodel.evaluation.rows.time_and_mirrors import measure_symmetry
from worldmodel.evaluation.settings import PhysicsConfig
from worldmodel.evaluation.statistics import mean
from worldmodel.progress import progress


@dataclass(frozen=True)
class Subjects:
    """What is studied. models: name -> WorldModel or any callable predict(context_frames, actions) -> frames;
    identities: a hash of each model's weights, by which finished parts are known again, or None where nobody can tell
    whether it is still the same: its parts are made anew; policies: name -> config with `_target_`, ranked beside the
    made ones (saved agents, scripts), and made anew too."""

    models: Mapping[str, Any]
    identities: Mapping[str, str | None]
    context_frames: int
    policies: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Raises WorldModelError for a name that stands for something else in a report."""
        for kind, names, is_taken in (
            ("row", self.models, is_reference),
            ("policy", self.policies, is_made),
        ):
            taken = next((name for name in names if is_taken(name)), None)
            if taken is not None:
                raise WorldModelError(
                    f"A report has a {kind} {taken!r} of its own: choose another name for yours."
                )


def study(
    subjects: Subjects,
    dataset: EpisodeDataset,
    config: PhysicsConfig,
    parts_folder: Path | None = None,
    probe_cache: str | Path | None = None,
) -> PhysicsReport:
    """Measure everything that the environment's truth allows. parts_folder: keeps finished parts, so that a run
    that was stopped goes on. Raises DatasetError where the dataset holds no simulator states."""
    k, ground = subjects.context_frames, _ground(subjects, dataset, config, probe_cache)
    common = {"seed": config.seed, "context_frames": k, "data": data_version(dataset)}
    run = _Run(subjects, ground, config, Parts(parts_folder, **common))
    with progress(total=run.stages, desc=f"physics of {dataset.env.id}", unit="stage") as bar:
        run.bar = bar
        return run.report(ground.contexts(config.contexts, config.horizon, config.seed))


@dataclass
class _Run:
    subjects: Subjects
    ground: Ground
    config: PhysicsConfig
    parts: Parts
    bar: Any = None

    def __post_init__(self) -> None:
        seed, batch = self.config.seed, self.config.max_batch
        self.sources = {
            name: model_source(name, model, seed, batch) for name, model in self.subjects.models.items()
        }
        known = self.config.unfamiliar and not self.ground.why
        self.unfamiliar = unfamiliar_options(self.ground.dataset.env) if known else {}
        models = len(self.sources)
        splits = len(self.unfamiliar) + 1 if known else 0  # and the combinations
        self.stages = 11 + 5 * models + (3 + 2 * models) * splits

    def report(self, contexts: Contexts) -> PhysicsReport:
        file = self.config.controls
        controls = read_controls(str(file), self.ground.probe.version) if file else []
        scene = prepare(contexts, self.ground, self.config)
        self.bar.update()
        rows = self._rows(scene, references(scene, self.ground, self.config.seed))
        splits = [self._split(scene, rows), *self._unfamiliar()]
        answers, answered, fans = measure_branches(
            self.sources, self.subjects.identities, self.ground, self.config, self.parts
        )
        self.bar.update()
        findings = self._findings(scene, rows)
        strips, films = shown_pictures(self.sources, scene, rows, self.config.films)
        self.bar.update(self.bar.total - self.bar.n)
        return PhysicsReport(
            env=self.ground.dataset.env.id,
            models=list(self.sources),
            config=self.config,
            probe=self.ground.note(),
            splits=splits,
            answers=answers,
            answered=answered,
            findings=findings,
            fans=fans,
            strips=strips,
            films=films,
            controls=controls,
            untrusted=untrusted(controls),
        )

    def _rows(self, scene: Scene, reference: Sequence[Source]) -> dict[str, Row]:
        rows = {}
        for source in [*reference, *model_rows(list(self.sources.values()), self.config.seed)]:
            rows[source.name] = read_row(source, scene, self.parts, self._identity(source.name))
            self.bar.update()
        return rows

    def _identity(self, name: str) -> str | None:
        return self.subjects.identities.get(name.removesuffix(DEAF), "")

    def _split(self, scene: Scene, rows: Mapping[str, Row]) -> Split:
        contexts = scene.contexts
        return Split(
            name=contexts.split,
            contexts=len(contexts),
            episodes=len(np.unique(contexts.episodes)),
            horizon=contexts.horizon,
            rows=measure_rows(rows, scene),
            orders=_orders(rows, scene),
            gaps=_gaps(list(self.sources), rows, scene),
        )

    def _unfamiliar(self) -> list[Split]:
        splits, config, k = [], self.config, self.subjects.context_frames
        if not config.unfamiliar or self.ground.why:
            return []
        env, count, horizon = self.ground.dataset.env, config.unfamiliar, config.horizon
        makers: dict[str, Callable[[], Contexts | None]] = {
            name: partial(unfamiliar_contexts, env, options, name, count, k, horizon, config.seed + 5)
            for name, options in self.unfamiliar.items()
        }
        makers["combination"] = partial(combined_contexts, env, count, k, horizon, config.seed + 6)
        for name, make in makers.items():
            try:
                contexts = make()
                if contexts is not None:
                    splits.append(self._unfamiliar_split(contexts))
            except WorldModelError as error:
                splits.append(Split(name, 0, 0, 0, {}, [], {}, str(error)))
        return splits

    def _unfamiliar_split(self, contexts: Contexts) -> Split:
        scene = prepare(contexts, self.ground, self.config)
        chosen = (SIMULATOR, NOISY, COPY)
        every = references(scene, self.ground, self.config.seed)
        return self._split(scene, self._rows(scene, [row for row in every if row.name in chosen]))

    def _findings(self, scene: Scene, rows: Mapping[str, Row]) -> dict[str, ModelFindings]:
        closed = self._closed_loop()
        found = {}
        for name, source in self.sources.items():
            spread, warned = measure_samples(
                source, self.subjects.identities[name], scene, rows[name], self.config, self.parts
            )
            self.bar.update()
            symmetry = {"arrow": arrow(rows[name], scene)}
            symmetry |= measure_symmetry(source, scene, self.ground, self.config)
            self.bar.update()
            found[name] = ModelFindings(symmetry, spread, warned, closed[name])
        return found

    def _closed_loop(self) -> dict[str, ClosedLoop | NotMeasured]:
        config = self.config
        if not config.starts:
            return dict.fromkeys(self.sources, NotMeasured("It was left out (physics.starts=0)."))
        found: dict[str, ClosedLoop | NotMeasured] = {}
        stage = self._stage(config.starts, config.policy_steps, config.seed + 8)
        choices = (
            self._stage(config.decisions, config.branch_steps, config.seed + 9) if config.decisions else None
        )
        probe = self.ground.probe
        eyes = (
            ProbeEyes(probe)
            if isinstance(probe, FrozenProbe) and probe.trusted_features.any()
            else PixelEyes()
        )
        try:
            candidates = population(stage, eyes, self.subjects.policies, config)
            for name, model in self.subjects.models.items():
                identity = self.subjects.identities[name]
                try:
                    world = needs_rewards(model)
                    optimised = optimised_in(world, stage, eyes, config, identity)
                    found[name] = measure_closed_loop(
                        world, stage, candidates, optimised, choices, config, identity
                    )
                except WorldModelError as error:
                    found[name] = NotMeasured(str(error))
                self.bar.update()
        except EnvError as error:
            return dict.fromkeys(self.sources, NotMeasured(str(error)))
        finally:
            stage.close()
            if choices is not None:
                choices.close()
        return found

    def _stage(self, count: int, steps: int, seed: int) -> Stage:
        contexts = self.ground.contexts(count, steps, seed)
        known = {"seed": seed, "contexts": contexts_key(contexts), "probe": self.ground.probe.version}
        parts = Parts(self.parts.folder, **known)

        def bring_back(env: Any, number: int) -> None:
            self.ground.restore(env, contexts, number)

        return Stage(contexts, bring_back, self.ground.dataset.codec, seed, parts)


def _ground(
    subjects: Subjects, dataset: EpisodeDataset, config: PhysicsConfig, cache: str | Path | None
) -> Ground:
    if has_states(dataset):
        return SimulatorGround(dataset, subjects.context_frames, config.probe, cache)
    return GameGround(dataset, subjects.context_frames, config.seed)


def _orders(rows: Mapping[str, Row], scene: Scene) -> list[Order]:
    """simulator < 10 % action noise < what knows no actions (none, or another moment's) < copy-last, and every model
    against these, by nRMSE."""
    found = []
    chains = [(SIMULATOR, NOISY, IDLE, COPY), (NOISY, SHUFFLED, COPY)]
    pairs = [pair for chain in chains for pair in pairwise(chain) if set(pair) <= set(rows)]
    models = [name for name in rows if f"{name}{DEAF}" in rows]
    pairs += [(name, other) for name in models for other in (f"{name}{DEAF}", COPY)]
    for better, worse in pairs:
        low, high = (state_estimate(rows[name], scene) for name in (better, worse))
        if low is not None and high is not None:
            told = intervals({"gap": high - low}, scene.bootstrap)["gap"]
            if not isinstance(told, NotMeasured):
                found.append(Order(better, worse, told))
    return found


def _gaps(models: Sequence[str], rows: Mapping[str, Row], scene: Scene) -> dict[str, dict[str, Number]]:
    """Paired differences of two models' nRMSE, permanence and PSNR."""
    found: dict[str, dict[str, Number]] = {}
    for i, one in enumerate(models):
        for other in models[i + 1 :]:
            told: dict[str, Number] = {}
            for measure, estimate in (("nrmse", state_estimate), ("present", present_estimate)):
                first, second = (estimate(rows[name], scene) for name in (one, other))
                if first is not None and second is not None:
                    told |= intervals({measure: first - second}, scene.bootstrap)
            pictures = [rows[name].pictures for name in (one, other)]
            if pictures[0] is not None and pictures[1] is not None:
                gap = np.where(scene.valid, pictures[0]["psnr"] - pictures[1]["psnr"], np.nan)
                told["psnr"] = scene.bootstrap.one(mean(np.nanmean(gap, axis=1)))
            found[f"{one} - {other}"] = told
    return found
