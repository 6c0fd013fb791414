# The CPU worker: decoders and OpenVINO, no TensorFlow.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VAR_DIR=/var/lib/xray-portal
WORKDIR /srv/portal

COPY requirements/worker.txt requirements/worker.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/worker.txt

COPY manage.py Procfile ./
COPY docker/process docker/process
COPY inference_worker inference_worker
COPY models models
COPY xrayportal xrayportal

RUN useradd --system --uid 10001 --no-create-home portal \
 && install -d -o portal -g portal -m 0700 /var/lib/xray-portal

USER portal
CMD ["docker/process", "worker"]
