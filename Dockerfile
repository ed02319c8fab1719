# One image for the gateway, the worker and the setup; the command decides.

FROM python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /src
# The dependencies first: this layer is cached while only the project's code changes.
COPY constraints-demo.txt .
RUN /opt/venv/bin/pip install --no-deps --require-hashes -r constraints-demo.txt
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY resultstore resultstore
COPY tasks tasks
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
# The worker's libvips: one thread a task, and no heap per thread, halve its memory.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 VIPS_CONCURRENCY=1 MALLOC_ARENA_MAX=2
# The worker decodes untrusted videos with it, each in its own process (tasks/resultstore_tasks/sandbox/confined.py).
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home resultstore
COPY --from=build /opt/venv /opt/venv
USER resultstore
WORKDIR /tmp
EXPOSE 8080
# The gateway's; docker-compose.yml gives the worker its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
CMD ["resultstore", "gateway"]
