# The hub: API, gateway and supervised SuperLink. Build in the root of the checkout:
#   docker build -f docker/hub.Dockerfile -t consilium-hub:0.1.0 .
# Pin the base by digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/consilium
COPY requirements requirements
RUN /opt/consilium/bin/pip install --no-deps --require-hashes -r requirements/hub.lock.txt
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --require-hashes -r requirements/build.lock.txt
# The whole wheel: Flower looks up both app modules when the bundle is built. The site's code is
# here, what it needs to touch an image is not.
COPY pyproject.toml README.md LICENSE ./
COPY compliance compliance
COPY site_node site_node
COPY hub hub
COPY dashboard dashboard
RUN /opt/build/bin/hatchling build -t wheel -d /wheel \
    && /opt/consilium/bin/pip install --no-deps --no-index /wheel/*.whl
COPY docker/absent.py docker/absent.py
RUN /opt/consilium/bin/python -P docker/absent.py torch monai pydicom streamlit \
    && /opt/consilium/bin/pip check \
    && /opt/consilium/bin/consilium hub --help

FROM ${BASE}
LABEL org.opencontainers.image.title="Consilium hub" \
      org.opencontainers.image.description="The hub between the hospitals. It never sees an image." \
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
EXPOSE 8443
HEALTHCHECK --interval=60s --timeout=30s --start-period=90s --retries=3 \
    CMD ["consilium", "hub", "status"]
ENTRYPOINT ["consilium"]
CMD ["hub", "serve"]
