"""Writes counted episodes the way LeRobot v3 lays them out, without LeRobot."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from counting_env import SIZE, draw
from PIL import Image
from video_files import write_lossless

CAMERA, FPS = "observation.images.top", 10


def length_of(episode: int) -> int:
    """Frames of an episode."""
    return 4 + episode % 3


def action_of(episode: int, frame: int) -> list[float]:
    return [episode + frame / 16, -frame / 8]


def write_lerobot(folder: Path, episodes: int, images: bool = False, **info: Any) -> None:
    """Episodes 0, 1, ... in files of three, whose pictures count (episode + 1, t); videos with key frames every 7."""
    import pyarrow as pa
    from pyarrow import parquet

    about = []
    for first in range(0, episodes, 3):
        numbers, chunk, file = range(first, min(first + 3, episodes)), first // 6, first // 3 % 2
        rows = [row for number in numbers for row in _rows(number, images)]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        table = pa.table(columns).cast(_schema(pa, columns))
        path = folder / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path)
        video = folder / f"videos/{CAMERA}/chunk-{chunk:03d}/file-{file:03d}.mp4"
        if not images:
            video.parent.mkdir(parents=True, exist_ok=True)
            write_lossless(video, _pictures(numbers), FPS, group=7)
        start = 0
        for number in numbers:
            place = {"chunk_index": chunk, "file_index": file}
            entry = {"episode_index": number, "length": length_of(number), "tasks": ["count"]}
            entry |= {f"data/{key}": value for key, value in place.items()}
            if not images:
                entry |= {f"videos/{CAMERA}/{key}": value for key, value in place.items()}
                entry[f"videos/{CAMERA}/from_timestamp"] = start / FPS
            start += length_of(number)
            about.append(entry)
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(about), path)
    (folder / "meta/info.json").write_text(json.dumps(_info(images) | info))


def _pictures(numbers: range) -> np.ndarray:
    return np.stack([draw(number + 1, frame) for number in numbers for frame in range(length_of(number))])


def _rows(number: int, images: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "action": action_of(number, frame),
            "observation.state": [number, frame, number * frame],
            "observation.temperature": number + frame / 2,
            "next.reward": 10.0 * number + frame,
            "next.done": number == 2 and frame == length_of(number) - 2,
            "frame_index": frame,
            "episode_index": number,
        }
        for frame in range(length_of(number))
    ]
    for frame, row in enumerate(rows) if images else ():
        buffer = io.BytesIO()
        Image.fromarray(draw(number + 1, frame)).save(buffer, format="PNG")
        row[CAMERA] = {"bytes": buffer.getvalue(), "path": None}
    return rows


def _schema(pa: Any, columns: dict[str, Any]) -> Any:
    types = {
        "action": pa.list_(pa.float32(), 2),
        "observation.state": pa.list_(pa.float32()),
        "observation.temperature": pa.float32(),
        "next.reward": pa.float32(),
        CAMERA: pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    }
    return pa.schema([(key, types.get(key) or pa.array(values).type) for key, values in columns.items()])


def _info(images: bool) -> dict[str, Any]:
    def feature(dtype: str, *shape: int) -> dict[str, Any]:
        return {"dtype": dtype, "shape": list(shape), "names": None}

    return {
        "codebase_version": "v3.0",
        "fps": FPS,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            CAMERA: feature("image" if images else "video", SIZE, SIZE, 3),
            "action": feature("float32", 2),
            "observation.state": feature("float32", 3),
            "observation.temperature": feature("float32", 1),
            "next.reward": feature("float32", 1),
            "next.done": feature("bool", 1),
            "frame_index": feature("int64", 1),
            "episode_index": feature("int64", 1),
        },
    }
