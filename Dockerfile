# Hearth in a container: the server and its shipped models, as an ordinary user, on a root file system that may be
# read-only (only /tmp and /data are written). Builds for amd64 and arm64; all Python packages come from the lock, by their hashes.
#
#   docker build -t hearth .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp -v hearth-data:/data hearth
#
# /data has uploaded files and batches (docs/batches.md); without a volume of a name they go with the container.
# About 480 MB beside its base, of which the weights are 80. `make image-test` builds it and tries it.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/hearth
RUN python -m venv /opt/venv
COPY requirements/build.txt requirements/run.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/build.txt -r requirements/run.txt
# The project is installed from where it will lie in the image, so a model folder beside the code is found there as on
# any other machine. The compiler of the step engine stays in this stage, and so does all that only builds.
COPY pyproject.toml README.md LICENSE ./
COPY server server
COPY models/*.py models/
COPY models/families models/families
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
 && /opt/venv/bin/pip uninstall --yes cmake nanobind ninja pathspec scikit-build-core pip \
 && rm -rf build \
 && /usr/local/bin/python -m compileall -q server models

FROM ${BASE}
LABEL org.opencontainers.image.title="Hearth" \
      org.opencontainers.image.description="A local inference server for small language models" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --home-dir /tmp hearth && install -d -o 10001 -m 700 /data
# The largest and least changed layer first: a new version of the code leaves the weights where they are.
COPY models/weights /opt/hearth/models/weights
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/hearth /opt/hearth
# A container's own loopback is reached by nobody: the server has to listen on all of its addresses, and it refuses to
# without API keys unless told so. Who reaches the container is decided by what publishes its port. Under which names it
# answers is another question: without keys those of a local machine, so that no web page in a browser of this host reads
# it, until HEARTH_ALLOWED_HOSTS names others.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEARTH_HOST=0.0.0.0 \
    HEARTH_DATA_DIR=/data \
    HEARTH_ALLOW_PUBLIC=1
USER 10001
VOLUME /data
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
ENTRYPOINT ["hearth"]
CMD ["serve"]
