"""The peer of `load_tests.reranking`, in its own interpreter: a line of JSON in, the scores as a line of JSON out.

Knows nothing of Hearth. ``python reranking_peer.py FOLDER THREADS``.
"""

import json
import sys


def main() -> None:
    """Answer requests until the input ends."""
    import onnxruntime
    from sentence_transformers import CrossEncoder
    from torch import nn

    folder, threads = sys.argv[1], int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    settings = {"provider": "CPUExecutionProvider", "export": True, "session_options": options}
    model = CrossEncoder(folder, backend="onnx", model_kwargs=settings, activation_fn=nn.Identity(), max_length=256)
    for line in sys.stdin:
        query, documents = json.loads(line)
        scores = model.predict([(query, document) for document in documents], batch_size=32, show_progress_bar=False)
        print(json.dumps([float(score) for score in scores]), flush=True)


if __name__ == "__main__":
    main()
