# Web processes, reconciler and migrations: neither TensorFlow nor OpenVINO is in this image.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    VAR_DIR=/var/lib/xray-portal STATIC_ROOT=/srv/portal/collected HEARTBEAT_FILE=/tmp/heartbeat
WORKDIR /srv/portal

COPY requirements/web.txt requirements/web.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/web.txt

COPY manage.py Procfile gunicorn.conf.py ./
COPY docker/process docker/alive docker/
COPY inference_worker inference_worker
COPY models models
COPY locale locale
COPY static static
COPY templates templates
COPY xray_client xray_client
COPY xrayportal xrayportal

# The static files belong to the image and are read by a user who does not own them; uploads and results lie on
# a volume.
RUN python manage.py collectstatic --no-input --verbosity 0 --settings xrayportal.offline_settings \
 && groupadd --gid 10001 portal \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin portal \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/xray-portal

# Where the file system is read-only, ECS mounts a volume here, which has the image's modes only if it is declared.
VOLUME ["/tmp"]
# By number: Kubernetes cannot tell from a name that it is not root.
USER 10001:10001
EXPOSE 8000
CMD ["docker/process", "web"]
