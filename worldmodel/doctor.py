"""`worldmodel doctor`: what this machine has, and what to install for what is missing."""

import json as json_module
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import psutil

from worldmodel.files import write_json

GIGABYTE = 1e9

# distribution: (what it is for, how to install it)
EXTRAS: dict[str, tuple[str, str]] = {
    "pygame-ce": ("plays dreams by hand", "pip install 'worldmodel[play]'"),
    "moviepy": ("Gymnasium's RecordVideo", "pip install 'worldmodel[wrappers]'"),
    "ale-py": ("Atari games", "pip install 'worldmodel[atari]' (ale-py, GPL)"),
    "vizdoom": ("first-person games", "pip install 'worldmodel[doom]'"),
    "minari": ("datasets of others, in and out", "pip install 'worldmodel[minari]'"),
    "stable-baselines3": ("agents of others", "pip install 'worldmodel[sb3]'"),
    "torchrl": ("agents of others", "pip install 'worldmodel[torchrl]'"),
    "hydra-submitit-launcher": ("sweeps on SLURM", "pip install hydra-submitit-launcher"),
}

# Probed in a process of its own: a missing GL library can abort it.
_PROBE_GL = (
    "import json; from worldmodel.arguments import locate; "
    "print(json.dumps(locate('worldmodel.envs.drawing.gl.probe_gl')()))"
)
_PROBE_SECONDS = 200


@dataclass(frozen=True)
class Finding:
    """One thing looked for. found: what was found, None if it is missing; remedy: what to do about that."""

    name: str
    found: str | None
    remedy: str = ""


Findings = dict[str, list[Finding]]


def doctor(json: str | None = None) -> None:
    """Print what was found; with `json`, also write it to that file."""
    findings = examine()
    print(as_text(findings))
    if json is not None:
        sections = {name: [asdict(item) for item in section] for name, section in findings.items()}
        write_json(json, {"format": "worldmodel-doctor", "version": 1, "sections": sections})


def examine() -> Findings:
    """Look at this machine; takes a few seconds, because torch is imported and GL is tried out."""
    return {
        "system": _system(),
        "torch": _torch(),
        "drawing": [Finding("ray casting", "in MuJoCo itself, needs no OpenGL"), *_gl(), _video()],
        "packages": _packages(),
        "extras": [_package(name, f"{use}: {install}") for name, (use, install) in EXTRAS.items()],
    }


def as_text(findings: Findings) -> str:
    """One line for each thing, by section; what is missing carries its remedy."""
    width = max(len(item.name) for section in findings.values() for item in section)
    lines = []
    for title, section in findings.items():
        lines.append(title)
        for item in section:
            what = item.found if item.found is not None else "missing"
            lines.append(f"  {item.name:<{width}}  {what}" + (f"; {item.remedy}" if item.remedy else ""))
    return "\n".join(lines)


def _system() -> list[Finding]:
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(Path.cwd())
    return [
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Finding("cores", f"{_cores()} usable"),
        Finding("memory", f"{memory.total / GIGABYTE:.1f} GB, {memory.available / GIGABYTE:.1f} GB free"),
        Finding("disk", f"{disk.free / GIGABYTE:.1f} GB free in {Path.cwd()}"),
    ]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _torch() -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of its own does not load
        return [Finding("torch", None, f"cannot be imported ({error}): see https://pytorch.org")]
    return [
        Finding("threads", str(torch.get_num_threads())),
        Finding("vector units", torch.backends.cpu.get_cpu_capability()),
        Finding("bfloat16 on CPU", _bfloat16()),
        *_gpus(),
    ]


def _bfloat16() -> str:
    """Without such instructions bfloat16 is emulated, several times slower than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return "unknown on this system"
    flags = set(re.findall(r"\b(?:avx512_bf16|amx_bf16|bf16)\b", cpuinfo.read_text()))
    return f"instructions: {', '.join(sorted(flags))}" if flags else "no instructions: stay with float32"


def _gpus() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [Finding("GPU", f"{d.name}, {d.total_memory / GIGABYTE:.0f} GB") for d in devices]
    if torch.backends.mps.is_available():
        return [Finding("GPU", "Apple (MPS)")]
    if shutil.which("nvidia-smi") is None:
        remedy = "no NVIDIA driver here, so everything runs on the CPU"
    elif torch.version.cuda is None:
        remedy = "this torch is a CPU build: install one for CUDA, see https://pytorch.org"
    else:
        remedy = f"torch wants CUDA {torch.version.cuda}: compare the driver's version in `nvidia-smi`"
    return [Finding("GPU", None, remedy)]


def _video() -> Finding:
    import imageio_ffmpeg

    try:
        return Finding("video", f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
    except RuntimeError:
        return Finding("video", None, "install ffmpeg with the system's packages")


def _gl() -> list[Finding]:
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE_GL], capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return [Finding("OpenGL", None, f"probing it took more than {_PROBE_SECONDS} s")]
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
        return [Finding("OpenGL", None, f"probing it failed: {reason}")]
    found = json_module.loads(probe.stdout.splitlines()[-1])
    return [
        Finding(f"OpenGL {name}", "draws") if result == "ok" else Finding(f"OpenGL {name}", None, result)
        for name, result in found.items()
    ]


def _packages() -> list[Finding]:
    """Our own dependencies, as our installed metadata names them."""
    requirements = [text for text in metadata.requires("worldmodel") or [] if "extra ==" not in text]
    return [_package(_name(text), f'pip install "{text}"') for text in ["worldmodel", *requirements]]


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _package(name: str, remedy: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, None, remedy)
