# The dashboard: what people see in a browser. It has no database and no key of the hub. Build in
# the root of the checkout:
#   docker build -f docker/dashboard.Dockerfile -t consilium-dashboard:0.1.0 .
# Pin the base by digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/consilium
COPY requirements requirements
RUN /opt/consilium/bin/pip install --no-deps --require-hashes -r requirements/dashboard.lock.txt
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --require-hashes -r requirements/build.lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY compliance compliance
COPY dashboard dashboard
RUN /opt/build/bin/hatchling build -t wheel -d /wheel \
    && /opt/consilium/bin/pip install --no-deps --no-index /wheel/*.whl
COPY docker/absent.py docker/absent.py
RUN /opt/consilium/bin/python -P docker/absent.py hub site_node torch flwr sqlalchemy pydicom \
    && /opt/consilium/bin/pip check \
    && /opt/consilium/bin/consilium dashboard --help

FROM ${BASE}
LABEL org.opencontainers.image.title="Consilium dashboard" \
      org.opencontainers.image.description="What people see of their studies, verified here." \
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
EXPOSE 8501
# The dashboard has no status command: its own plain page says that it is up.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/healthz', timeout=5)"]
ENTRYPOINT ["consilium"]
CMD ["dashboard", "serve"]
