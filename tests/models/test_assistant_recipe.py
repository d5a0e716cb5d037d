"""The assistant's recipe: its network, its loss, its way to the engine and back, and its reading of sources."""

import random
from pathlib import Path

import pytest

from models.families.hearth_assistant import Tool
from models.recipes.assistant.data import choose_tools, with_detour
from models.recipes.assistant.dialogues import clean_arguments, conversation_messages
from models.recipes.assistant.fallback import fallback, is_fallback


def test_arguments_written_as_code_become_plain_values():
    raw = {
        "a": 'api.is_equal_to("Sunday")',
        "b": '"Ben"',
        "c": "api.is_greater_than(3)",
        "d": "39",
        "e": [1, {"x": "y"}],
        "f": "api.is_brand_new(4)",
    }
    assert clean_arguments(raw) == {
        "a": "Sunday",
        "b": "Ben",
        "c": "> 3",
        "d": "39",
        "e": [1, {"x": "y"}],
        "f": "is_brand_new 4",
    }


def test_a_call_becomes_a_turn_and_its_result_another():
    call = {"name": "find", "arguments": {"city": "Rome"}, "result": {"city": "Rome", "name": "Lux"}, "n_results": 3}
    row = {"messages": [{"role": "user", "content": "a  b"}, {"role": "assistant", "content": "Lux?", "calls": [call]}]}
    messages = conversation_messages(row, keep_echo=False)
    assert [(m.role, m.content) for m in messages] == [
        ("user", "a b"),
        ("assistant", ""),
        ("tool", "3 results; name: Lux"),
        ("assistant", "Lux?"),
    ]
    assert "city: Rome" in conversation_messages(row, keep_echo=True)[2].content


def test_listed_tools_hold_the_called_ones_once():
    rng = random.Random(1)
    own = [Tool("a"), Tool("b")]
    for _ in range(50):
        names = [t.name for t in choose_tools(own, [*own, Tool("c"), Tool("d")], rng, share_without=0.0)]
        assert {"a", "b"} <= set(names)
        assert len(names) == len(set(names))


def test_no_two_tools_are_listed_under_one_name():
    own = [Tool("a", ("mine",)), Tool("b"), Tool("a", ("of the other service",))]
    others = [Tool("a", ("v2",)), Tool("c", ("v1",)), Tool("c", ("v2",)), Tool("b", ("v2",))]
    for seed in range(20):
        tools = choose_tools(own, others, random.Random(seed), share_without=0.0)
        names = [t.name for t in tools]
        assert len(set(names)) == len(names)
        assert Tool("a", ("mine",)) in tools
        assert Tool("b") in tools


def test_a_detour_stands_before_a_user_turn_and_gets_a_fallback():
    row = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    messages = with_detour(list(conversation_messages(row, keep_echo=False)), "Why?", random.Random(1))
    assert [m.role for m in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[0].content == "Why?"
    assert is_fallback(messages[1].content)


def test_every_fallback_is_known_as_one():
    rng = random.Random(2)
    assert all(is_fallback(fallback(rng)) for _ in range(300))
    assert not is_fallback("Which city?")


def test_packed_conversations_do_not_see_each_other():
    torch = pytest.importorskip("torch")
    from models.recipes.assistant.network import Decoder, Shape

    torch.manual_seed(1)
    model = Decoder(
        Shape(vocabulary=50, width=32, layers=2, heads=4, kv_heads=2, head_width=8, feed_forward=48, context_tokens=16)
    )
    first, second = torch.randint(0, 50, (7,)), torch.randint(0, 50, (5,))
    packed = model(torch.cat([first, second]), [7, 5])
    assert torch.allclose(packed, torch.cat([model(first, [7]), model(second, [5])]), atol=1e-5)
    changed = first.clone()
    changed[-1] = (changed[-1] + 1) % 50
    assert torch.allclose(model(changed, [7])[:-1], model(first, [7])[:-1], atol=1e-5), "a token saw a later one"


@pytest.mark.parametrize(("width", "heads", "seed"), [(256, 4, 1), (512, 8, 2)])
def test_an_untrained_decoder_copies_what_followed_the_same_tokens_before(width: int, heads: int, seed: int):
    torch = pytest.importorskip("torch")
    from models.recipes.assistant.copying import prepare_to_copy
    from models.recipes.assistant.network import Decoder, Shape

    torch.manual_seed(seed)
    model = Decoder(Shape(1000, width, layers=3, heads=heads, kv_heads=heads // 2, feed_forward=256))
    value, rest = torch.randperm(1000)[:6], torch.randperm(1000)[:400]
    ids = torch.cat([rest[:50], value, rest[50:], value])
    right = []
    for prepared in (False, True):
        if prepared:
            prepare_to_copy(model)
        with torch.no_grad():
            logits = model.logits(model(ids, [len(ids)]))[-5:-1]
        logits[range(4), value[1:5]] = float("-inf")  # the token itself, which untrained layers don't take away
        right.append(int((logits.argmax(-1) == value[2:]).sum()))
    assert right == [0, 4]
    with pytest.raises(ValueError, match="no room"):
        prepare_to_copy(Decoder(Shape(vocabulary=50, width=32, layers=2, head_width=8, feed_forward=48)))


def test_the_fused_loss_and_its_gradients_are_those_of_cross_entropy():
    torch = pytest.importorskip("torch")
    from models.recipes.assistant.loss import weighted_loss

    torch.manual_seed(1)
    hidden, weight = torch.randn(20, 32, requires_grad=True), torch.randn(40, 32, requires_grad=True)
    targets, scale = torch.randint(0, 40, (20,)), torch.rand(20)
    scale[3] = 0
    losses = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="none")
    expected = (losses * scale).sum()
    wanted = torch.autograd.grad(expected, (hidden, weight))
    got_loss = weighted_loss(hidden, weight, targets, scale, chunk=7)
    got = torch.autograd.grad(got_loss, (hidden, weight))
    assert got_loss.item() == pytest.approx(expected.item(), rel=2e-2)
    for ours, theirs in zip(got, wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=0.05 * theirs.abs().max().item())


def test_the_engine_computes_what_the_network_does_and_gives_the_weights_back(tmp_path: Path):
    torch = pytest.importorskip("torch")
    ctranslate2 = pytest.importorskip("ctranslate2")
    numpy = pytest.importorskip("numpy")
    from models.families.hearth_assistant import SPECIAL_TOKENS
    from models.recipes.assistant.network import Decoder, Shape
    from models.recipes.assistant.spec import shipped_weights, write_engine_model

    torch.manual_seed(1)
    shape = Shape(vocabulary=64, width=32, layers=2, heads=6, kv_heads=3, head_width=8, feed_forward=48)
    model = Decoder(shape).eval()
    pieces = ["<unk>", *SPECIAL_TOKENS]
    pieces += [f"p{i}" for i in range(64 - len(pieces))]
    write_engine_model(tmp_path / "float32", shape, model.state_dict(), pieces, None)
    write_engine_model(tmp_path / "int8", shape, model.state_dict(), pieces, "int8_float32")
    ids = list(range(20))
    engine = ctranslate2.Generator(str(tmp_path / "float32"), device="cpu", compute_type="float32")
    with torch.no_grad():
        ours = model.logits(model(torch.tensor(ids), [20])).numpy()
    theirs = numpy.array(engine.forward_batch([ids]))[0]
    assert numpy.abs(ours - theirs).max() < 1e-4
    for name, value in shipped_weights(tmp_path / "int8", shape).items():
        original = model.state_dict()[name]
        assert (value - original).abs().max() <= original.abs().max() / 127, name
