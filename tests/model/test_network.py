import pytest
import torch
from tiny_world import SIZE, WINDOW, tiny_network
from torch.nn import functional as F

from worldmodel.errors import WorldModelError
from worldmodel.model.memory import Memory, visible_steps
from worldmodel.model.transformer import ClockRotation, fused_attention, rotate

STEPS = 7


VARIANTS = [
    {},
    {"attention": "joint"},
    {"history": 0},
    {"history": 4},
    {"prediction": "velocity"},
    {"channels": (), "patch": 4},
]


@pytest.fixture(params=VARIANTS, ids=str)
def network(request):
    return tiny_network(**request.param).eval()


@pytest.fixture
def clip(network):
    generator = torch.Generator().manual_seed(2)
    noisy = torch.randn(2, STEPS, 3, SIZE, SIZE, generator=generator)
    past = torch.randn(2, STEPS, 3 * network.config.history, SIZE, SIZE, generator=generator)
    sigma = torch.rand(2, STEPS, generator=generator)
    action = torch.randn(2, STEPS, 2, generator=generator)
    times = torch.arange(STEPS).expand(2, STEPS)
    return {
        "noisy": noisy,
        "sigma": sigma,
        "past": past,
        "past_sigma": 0.1 * sigma,
        "action": action,
        "times": times,
    }


def at(clip, step):
    return {name: value[:, step : step + 1] for name, value in clip.items()}


@torch.no_grad()
def test_a_step_sees_the_past_and_never_the_future(network, clip):
    before = network(**clip)
    changed = {**clip, "action": clip["action"].clone()}
    changed["action"][:, 3] += 1.0
    after = network(**changed)
    for name in ("frame", "reward_logits", "termination_logit"):
        old, new = getattr(before, name), getattr(after, name)
        assert torch.equal(old[:, :3], new[:, :3])
        for step in range(3, STEPS):
            seen = not torch.allclose(old[:, step], new[:, step], atol=1e-6)
            assert seen, f"{name} of step {step} ignores the action of step 3"


@torch.no_grad()
def test_dreaming_step_by_step_with_memory_equals_the_clip_in_one_pass(network, clip):
    """The memory holds exactly `window` steps, also after the ring has wrapped (STEPS > window)."""
    assert STEPS > WINDOW
    whole = network(**clip)
    memory = network.new_memory(2)
    for step in range(STEPS):
        part = network(**at(clip, step), memory=memory)
        torch.testing.assert_close(part.frame[:, 0], whole.frame[:, step], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(part.features[:, 0], whole.features[:, step], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_pass_of_a_step_overwrites_the_same_slot(network, clip):
    once, twice = network.new_memory(2), network.new_memory(2)
    network(**at(clip, 0), memory=once)
    other = at(clip, 0)
    network(**{**other, "noisy": torch.zeros_like(other["noisy"])}, memory=twice)
    network(**at(clip, 0), memory=twice)
    assert torch.equal(once.keys, twice.keys)
    assert torch.equal(once.times, twice.times)


@torch.no_grad()
def test_positions_are_a_clock_so_late_dreams_equal_early_ones(network, clip):
    late = {**clip, "times": clip["times"] + 1_000_000 * network.rotation.period}
    assert torch.equal(network(**clip).frame, network(**late).frame)


def test_window_masks_what_is_too_old_and_what_is_empty():
    visible = visible_steps(torch.tensor([[5]]), torch.tensor([[5, 4, 2, 6, -1]]), window=3)
    assert visible.tolist() == [[[True, True, False, False, False]]]


def test_rotation_scores_depend_on_the_age_alone():
    rotation = ClockRotation(head_dim=8, window=16)
    query, key = torch.randn(2, 1, 1, 1, 1, 8).unbind(0)

    def score(query_time, key_time):
        turn = [rotate(x, rotation(torch.tensor([[t]]))) for x, t in ((query, query_time), (key, key_time))]
        return (turn[0] * turn[1]).sum()

    torch.testing.assert_close(score(9, 4), score(45, 40))
    assert not torch.isclose(score(9, 4), score(9, 5))


def test_untrained_network_copies_the_last_frame():
    from worldmodel.model.network import SpacetimeNetwork

    network = SpacetimeNetwork(frame_shape=(SIZE, SIZE, 3), action_dim=2, channels=(8,), width=16, heads=2)
    past = torch.randn(1, 1, 6, SIZE, SIZE)
    one = torch.ones(1, 1)
    output = network(torch.randn(1, 1, 3, SIZE, SIZE), one, past, one, torch.zeros(1, 1, 2), one.long())
    torch.testing.assert_close(output.frame[0, 0], past[0, 0, :3])


@torch.no_grad()
def test_steps_further_apart_than_the_window_do_not_see_one_another(network, clip):
    apart = {**clip, "times": clip["times"] * WINDOW}
    changed = {**apart, "action": clip["action"].clone()}
    changed["action"][:, 0] += 1.0
    assert torch.equal(network(**apart).frame[:, 1:], network(**changed).frame[:, 1:])


def test_velocity_means_the_flow_from_the_clean_frame_to_noise():
    network = tiny_network(prediction="velocity")
    with torch.no_grad():
        network.decoder.out.weight.zero_()
        network.decoder.out.bias.fill_(0.25)
    noisy, past = torch.randn(1, 1, 3, SIZE, SIZE), torch.randn(1, 1, 6, SIZE, SIZE)
    level, time = torch.full((1, 1), 0.5), torch.zeros(1, 1, dtype=torch.long)
    output = network(noisy, level, past, level, torch.zeros(1, 1, 2), time)
    torch.testing.assert_close(output.frame, noisy - 0.5 * 0.25)


@torch.no_grad()
def test_a_memory_with_a_shorter_window_forgets_sooner(network, clip):
    outputs = []
    for window in (1, WINDOW):
        memory = network.new_memory(2)
        memory.window = window
        changed = {**clip, "action": clip["action"].clone()}
        parts = []
        for actions in (clip["action"], changed["action"] + torch.eye(STEPS)[0][:, None]):
            for step in range(2):
                part = network(**at({**clip, "action": actions}, step), memory=memory)
            parts.append(part.frame)
        outputs.append(torch.equal(*parts))
    assert outputs == [True, False]


@pytest.mark.parametrize("setting", [{"attention": "none"}, {"prediction": "noise"}, {"history": -1}])
def test_unknown_variants_are_refused(setting):
    with pytest.raises(WorldModelError, match="factorised, joint"):
        tiny_network(**setting)


def test_frames_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(WorldModelError, match="multiples of 4"):
        tiny_network(frame_shape=(SIZE, SIZE + 2, 3))


def test_memory_select_and_assign_touch_only_what_they_name():
    memory = Memory.empty(3, layers=1, slots=2, tokens=1, heads=1, head_dim=2, like=torch.zeros(()))
    memory.keys[:] = torch.arange(3.0)[None, :, None, None, None, None]
    branch = memory.select(torch.tensor([2, 2]))
    branch.keys += 10
    memory.assign(torch.tensor([0]), branch.select(torch.tensor([0])))
    assert memory.keys[0, :, 0, 0, 0, 0].tolist() == [12.0, 1.0, 2.0]


def test_attention_of_more_problems_than_a_gpu_takes_at_once_is_that_of_their_parts(monkeypatch):
    """From 65,536 dreams on, CUDA's kernels refused."""
    attention = F.scaled_dot_product_attention

    def refusing(query, *rest, **settings):
        assert len(query) < 65_536
        return attention(query, *rest, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", refusing)
    query, key, value = torch.randn(3, 140_001, 1, 2, 2)
    mask = torch.rand(140_001, 1, 2, 2) < 0.7
    mask[..., 0] = True
    for given in (None, mask):
        parts = fused_attention(query, key, value, given)
        assert torch.allclose(parts, attention(query, key, value, given, scale=1.0), atol=1e-6)
