# Web processes, reconciler and migrations: neither TensorFlow nor OpenVINO is in this image.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VAR_DIR=/var/lib/xray-portal STATIC_ROOT=/srv/portal/collected
WORKDIR /srv/portal

COPY requirements/web.txt requirements/web.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/web.txt

COPY manage.py Procfile ./
COPY docker/process docker/process
COPY inference_worker inference_worker
COPY models models
COPY locale locale
COPY static static
COPY templates templates
COPY xrayportal xrayportal

# The static files belong to the image; uploads and results lie on a volume.
RUN python manage.py collectstatic --no-input --verbosity 0 --settings xrayportal.offline_settings \
 && useradd --system --uid 10001 --no-create-home portal \
 && install -d -o portal -g portal -m 0700 /var/lib/xray-portal

USER portal
EXPOSE 8000
CMD ["docker/process", "web"]
