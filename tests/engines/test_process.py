import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from server.engines.fake import FakeRow
from server.engines.kinds import EngineSpec
from server.errors import EngineFailed, Unavailable

FAKE = EngineSpec("fake")


def pid_of(engine: Any) -> int:
    assert engine.wait_ready()
    assert engine.pid is not None
    pid: int = engine.pid
    return pid


def test_a_killed_engine_costs_no_answer_that_had_not_begun(
    processes: Any, sink: Any, watch: Any, tmp_path: Path
) -> None:
    engine = processes(FAKE, watcher=watch)
    out = sink()
    engine.run([FakeRow("a", fate="die once", marker=tmp_path / "died"), FakeRow("b", fate="result")], out)
    assert out.outcomes == {0: "a", 1: "b"}
    assert watch.restarts == 1


def test_a_row_that_had_begun_fails_and_its_neighbours_do_not(processes: Any, sink: Any, tmp_path: Path) -> None:
    engine = processes(FAKE)
    out = sink()
    killer = FakeRow("killer", fate="die once", marker=tmp_path / "died", pieces=("x",))
    engine.run([killer], out)
    assert isinstance(out.outcomes[0], EngineFailed)
    assert out.pieces == {0: ["x"]}
    again = sink()
    engine.run([FakeRow("next")], again)
    assert again.outcomes == {0: "next"}


def test_a_row_that_kills_every_engine_is_tried_twice_and_no_more(processes: Any, sink: Any, watch: Any) -> None:
    engine = processes(FAKE, watcher=watch)
    out = sink()
    engine.run([FakeRow("poison", fate="die")], out)
    assert isinstance(out.outcomes[0], EngineFailed)
    assert engine.wait_ready()
    assert watch.loads == 3
    assert watch.restarts == 2


def test_an_idle_engine_that_is_killed_comes_back(processes: Any, sink: Any) -> None:
    engine = processes(FAKE)
    pid = pid_of(engine)
    os.kill(pid, signal.SIGKILL)
    out = sink()
    engine.run([FakeRow("a")], out)
    assert out.outcomes == {0: "a"}
    assert engine.pid != pid


@pytest.mark.parametrize("options", [{"fatal": True}, {"broken": "no weights"}])
def test_an_engine_that_dies_at_every_start_is_marked_failed(
    processes: Any, sink: Any, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = processes(EngineSpec("fake", options=options))
    assert not engine.wait_ready()
    assert engine.state == "failed"
    assert any(options.get("broken", "killed by signal 9") in record.message for record in caplog.records)
    assert ("could not be loaded" if "broken" in options else "killed by signal 9") in engine.reason
    assert "no weights" not in engine.reason, "an exception's text is for the log"
    with pytest.raises(Unavailable):
        engine.run([FakeRow("a")], sink())


def test_a_hung_engine_is_killed_and_its_rows_run_again(processes: Any, sink: Any, watch: Any, tmp_path: Path) -> None:
    """The named pipe is never opened for writing: the row would wait for ever. It is gone before the next start."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def before_the_next_start(failures: int) -> float:
        gate.unlink(missing_ok=True)
        gate.write_bytes(b"")
        return 0.0

    engine = processes(FAKE, watcher=watch, stall_s=1.0, backoff_s=before_the_next_start)
    pid = pid_of(engine)
    out = sink()
    engine.run([FakeRow("a", hold=gate)], out)
    assert out.outcomes == {0: "a"}
    assert engine.pid != pid
    assert watch.restarts == 1


def test_closing_leaves_no_process_and_no_thread(processes: Any, sink: Any) -> None:
    engine = processes(EngineSpec("fake", lanes=2))
    pid = pid_of(engine)
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not any(thread.name == "supervise-fake" for thread in threading.enumerate())
    with pytest.raises(Unavailable):
        engine.run([FakeRow("a")], sink())


def test_closing_while_loading_leaves_nothing(processes: Any) -> None:
    engine = processes(FAKE)
    engine.close()
    assert engine.pid is None
    assert engine.state == "closed"


def test_lanes_run_side_by_side(processes: Any, sink: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    engine = processes(EngineSpec("fake", lanes=2))
    held = sink()
    runner = threading.Thread(target=engine.run, args=([FakeRow("held", hold=gate)], held))
    runner.start()
    free = sink()
    engine.run([FakeRow("free")], free)
    assert free.outcomes == {0: "free"}
    assert not held.outcomes
    gate.write_bytes(b"")
    runner.join(20)
    assert held.outcomes == {0: "held"}


def test_a_paused_run_makes_no_step(processes: Any, sink: Any, tmp_path: Path) -> None:
    """While another engine has the cores, the run makes at most the step it is in: others get much done meanwhile."""
    engine = processes(EngineSpec("fake", lanes=2))
    log = tmp_path / "log"
    log.touch()
    out = sink()

    def others_work() -> None:
        if out.steps == 3:
            before = log.stat().st_size
            for _ in range(300):
                engine.run([FakeRow("other")], sink())
            assert log.stat().st_size <= before + 1

    out.contended = True
    out.on_step = others_work
    engine.run([FakeRow("a", pieces=("x",) * 2000, log=log)], out)
    assert out.outcomes == {0: "a"}
    assert len(out.pieces[0]) == 2000


def test_a_row_the_engine_forgets_fails_alone(processes: Any, sink: Any) -> None:
    engine = processes(FAKE)
    out = sink()
    engine.run([FakeRow("a", fate="forget"), FakeRow("b")], out)
    assert isinstance(out.outcomes[0], EngineFailed)
    assert out.outcomes[1] == "b"


def test_late_words_about_a_dropped_row_say_nothing(processes: Any, sink: Any) -> None:
    engine = processes(FAKE)
    first = sink(drop_after_pieces=1)
    engine.run([FakeRow("endless", pieces=range(10**9))], first)
    second = sink()
    engine.run([FakeRow("next", pieces=("x",))], second)
    assert second.outcomes == {0: "next"}
    assert second.pieces == {0: ["x"]}
