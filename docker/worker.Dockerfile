# A worker: decoders and OpenVINO for a CPU, no TensorFlow. With REQUIREMENTS=gpu TensorFlow for an NVIDIA card.
FROM python:3.12-slim

ARG REQUIREMENTS=worker
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VAR_DIR=/var/lib/xray-portal HEARTBEAT_FILE=/tmp/heartbeat
WORKDIR /srv/portal

COPY requirements/${REQUIREMENTS}.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/${REQUIREMENTS}.txt

COPY manage.py Procfile ./
COPY docker/process docker/alive docker/
COPY inference_worker inference_worker
COPY models models
COPY xray_client xray_client
COPY xrayportal xrayportal

RUN groupadd --gid 10001 portal \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin portal \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/xray-portal

# Where the file system is read-only, ECS mounts a volume here, which has the image's modes only if it is declared.
VOLUME ["/tmp"]
# By number: Kubernetes cannot tell from a name that it is not root.
USER 10001:10001
CMD ["docker/process", "worker"]
