import torch

from worldmodel.noise import counter_normal


def test_a_stream_does_not_depend_on_its_neighbours():
    seeds, steps = torch.tensor([3, 8, -5]), torch.tensor([0, 7, 2**40])
    together = counter_normal(seeds, steps, (3, 5, 7))
    for i in range(3):
        assert torch.equal(counter_normal(seeds[i : i + 1], steps[i : i + 1], (3, 5, 7))[0], together[i])


def test_seeds_and_steps_give_independent_standard_normals():
    seeds = torch.arange(64).repeat_interleave(32)
    steps = torch.arange(32).repeat(64)
    noise = counter_normal(seeds, steps, (1001,))
    assert noise.isfinite().all()
    assert abs(noise.mean()) < 0.003  # 2 M samples: six standard errors
    assert abs(noise.std() - 1) < 0.003
    assert abs((noise > 1.96).float().mean() - 0.025) < 0.001
    correlation = torch.corrcoef(noise[:200])
    assert (correlation - torch.eye(200)).abs().max() < 0.2  # 1001 samples each: six standard errors
