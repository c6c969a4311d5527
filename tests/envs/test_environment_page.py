"""The code on docs/environment.md runs as it stands there."""

import re


def test_the_examples_run(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"```python\n(.*?)```", (repository / "docs" / "environment.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(compile(block, "docs/environment.md", "exec"), names)
    assert names["observation"]["frames"].shape == (64, 64, 3)
    assert names["observation"]["features"].shape == (256,)
    assert names["futures"].frames.shape == (8, 5, 64, 64, 3) and names["info"]["context"] == -1
