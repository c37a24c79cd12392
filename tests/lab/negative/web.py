"""A web server before application workers of two kinds, with visitors."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds, unit

SITE = """
server {
    listen 8080 default_server;
    root /var/www/site;
    location ~ \\.php$ { include snippets/fastcgi-php.conf; fastcgi_pass unix:/run/php/site.sock; }
    location / { proxy_pass http://127.0.0.1:8000; }
}
"""
POOL = """[site]
user = www-data
group = www-data
listen = /run/php/site.sock
listen.owner = www-data
pm = static
pm.max_children = 70
pm.max_requests = 50
"""
APPLICATION = """
import time
def app(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
"""
GUNICORN = """[Unit]
Description=The site's application
[Service]
Type=notify
User=www-data
WorkingDirectory=/opt/site
ExecStart=/usr/bin/gunicorn --workers 60 --max-requests 100 --bind 127.0.0.1:8000 site_app:app
ExecReload=/bin/kill -s HUP $MAINPID
KillMode=mixed
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
"""
VISITORS = """
import threading, time, urllib.request
def visit(path):
    while True:
        try:
            urllib.request.urlopen("http://127.0.0.1/" + path, timeout=20).read()
        except OSError:
            pass
        time.sleep(0.5)
for number in range(8):
    threading.Thread(target=visit, args=(("index.php", "")[number % 2],)).start()
"""
BALANCER = """global
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend all
    bind :80
    default_backend site
backend site
    server local 127.0.0.1:8080
"""


def start(host: LabHost) -> None:
    host.write("/etc/nginx/sites-enabled/default", SITE)
    host.run(["sed", "-i", "s/^worker_processes.*/worker_processes 8;/", "/etc/nginx/nginx.conf"])
    host.write("/etc/php/8.4/fpm/pool.d/site.conf", POOL)
    host.write("/var/www/site/index.php", "<?php usleep(50000); echo 'well';\n")
    host.write("/opt/site/site_app.py", APPLICATION)
    host.write("/opt/site/visitors.py", VISITORS)
    host.write("/etc/haproxy/haproxy.cfg", BALANCER)
    host.run(["systemctl", "restart", "php8.4-fpm", "nginx", "haproxy"])
    unit(host, "site", GUNICORN)
    host.run(["systemctl", "reload", "nginx", "haproxy", "site"])
    # A new binary of nginx, as its manual tells it: the old master stays until somebody ends it.
    host.shell('kill -s USR2 "$(cat /run/nginx.pid)"')
    unit(host, "visitors", "[Service]\nDynamicUser=yes\nExecStart=/usr/bin/python3 /opt/site/visitors.py\n")


def busy(host: LabHost) -> bool:
    asks = "import urllib.request as u; assert u.urlopen('http://127.0.0.1/%s').read() == b'well'"
    return processes(host, "gunicorn") >= 50 and processes(host, "php-fpm") >= 70 and all(
        succeeds(host, "python3", "-c", asks % path) for path in ("index.php", ""))


RECIPE = Recipe("web", "trixie", ("nginx", "php-fpm", "gunicorn", "haproxy"), start, busy)
