"""Run by torchrun in tests/training/test_processes.py: `several_processes.py DATA OUT`, runs into OUT."""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from training_settings import settings

from worldmodel.errors import WorldModelError
from worldmodel.model.denoiser import Denoiser
from worldmodel.training.stopping import StopRequest
from worldmodel.training.train import train

data, out = sys.argv[1], Path(sys.argv[2])
SHARED = {"batch_size": 6, "steps": 10, "optimizer": "adamw"}

whole = train(data, str(out / "shared"), **settings(**SHARED))
second = PartialState().process_index == 1
(out / f"reached-{int(second)}").write_text(whole.name)
train(data, str(out / "muon"), **settings(**SHARED | {"optimizer": "muon"}))
backend = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))  # type: ignore[union-attr]
(out / f"patience-{int(second)}").write_text(str(backend.options._timeout.total_seconds()))

# The second process alone wants to stop, as when its clock were ahead: both stop.
due = StopRequest.due
StopRequest.due = property(lambda self: second)  # type: ignore[assignment,method-assign]
(out / f"stopped-{int(second)}").write_text(train(data, str(out / "stopped"), **settings(**SHARED)).name)
StopRequest.due = due  # type: ignore[method-assign]

# The second process alone meets a loss that is not a number, in its third step.
forward, calls = Denoiser.forward, []


def poisoned(self, batch, draw):  # type: ignore[no-untyped-def]
    loss, metrics = forward(self, batch, draw)
    calls.append(1)
    return (loss * torch.nan if second and len(calls) == 3 else loss), metrics


Denoiser.forward = poisoned  # type: ignore[method-assign]
for name, arguments in {"poisoned": SHARED, "odd": {"batch_size": 5}, "other": {"batch_size": 4}}.items():
    run = out / ("shared" if name == "other" else name)
    try:
        train(data, str(run), **settings(**arguments))
    except WorldModelError as error:
        (out / f"{name}-{int(second)}").write_text(str(error))
