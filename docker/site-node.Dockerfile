# A hospital's node: the image that holds neither hub nor dashboard. Build in the root of the checkout:
#   docker build -f docker/site-node.Dockerfile -t consilium-site:0.1.0 \
#     --build-arg TORCH_INDEX=ADDRESS-OF-THE-INDEX-WITH-CPU-WHEELS .
# Pin the base by digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/consilium
COPY requirements requirements
# torch first and alone, from one index only. The lock lists CPU builds: a CUDA wheel, or a wheel
# of somebody else, fails by its hash. A layer of its own: 750 MB that change rarely.
ARG TORCH_INDEX=
RUN /opt/consilium/bin/pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
        --no-deps --require-hashes -r requirements/torch.lock.txt
# hadolint ignore=DL3059
RUN /opt/consilium/bin/pip install --no-deps --require-hashes -r requirements/site.lock.txt
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --require-hashes -r requirements/build.lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY compliance compliance
COPY site_node site_node
RUN /opt/build/bin/hatchling build -t wheel -d /wheel \
    && /opt/consilium/bin/pip install --no-deps --no-index /wheel/*.whl
COPY docker/absent.py docker/absent.py
RUN /opt/consilium/bin/python -P docker/absent.py hub dashboard streamlit psycopg alembic \
    && /opt/consilium/bin/pip check \
    && /opt/consilium/bin/consilium site --help
# Text in pictures: --build-arg READER=1 adds the reader of text, 250 MB. After `pip check`, because
# it asks for a picture library with windows; the lock holds the same one without.
ARG READER=
RUN if [ -n "$READER" ]; then /opt/consilium/bin/pip install \
        --no-deps --require-hashes -r requirements/ocr.lock.txt; fi

FROM ${BASE}
LABEL org.opencontainers.image.title="Consilium site" \
      org.opencontainers.image.description="A hospital's node. No image leaves the hospital." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/consilium \
        --shell /usr/sbin/nologin consilium \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/consilium
COPY --from=build /opt/consilium /opt/consilium
ENV PATH=/opt/consilium/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    CONSILIUM_HOME=/var/lib/consilium
WORKDIR /var/lib/consilium
USER 10001:10001
VOLUME /var/lib/consilium
HEALTHCHECK --interval=120s --timeout=60s --start-period=120s --retries=3 \
    CMD ["consilium", "site", "doctor", "--json"]
ENTRYPOINT ["consilium"]
CMD ["site", "serve"]
