#!/bin/sh
# The application of this example: Python's web server, as a user of its own.
set -eu
mkdir -p /srv/shop
echo "open all day, on $(hostname)" >/srv/shop/index.html
cat >/etc/systemd/system/shop.service <<'UNIT'
[Unit]
Description=The shop
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/bin/python3 -m http.server 8080 --directory /srv/shop
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
Restart=always

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now shop.service
