# A machine's custom data: the cloud-config that Heddle writes for gateways. No secret is
# in it: it says where the join token is.
locals {
  # The secret of a certificate in PEM has its private key, too.
  tls       = "/run/heddle/gateway/tls.pem"
  tls_flags = var.certificate == null ? "" : " --https-port ${var.https_port} --public-port ${var.https_frontend_port} --tls-cert ${local.tls} --tls-key ${local.tls}"

  cloud_init = templatefile("${path.module}/../../cloud-init/gateway.yaml.tftpl", {
    heddle_url         = var.releases.heddle.url
    heddle_sha256      = var.releases.heddle.sha256
    envoy_url          = var.releases.envoy.url
    envoy_sha256       = var.releases.envoy.sha256
    control_plane_url  = var.control_plane.server
    control_plane_xds  = join(",", var.control_plane.xds)
    region             = var.location
    zone               = "" # machines of one scale set are in several
    gateway            = var.gateway
    proxy_flags        = "--listen-address 0.0.0.0 --http-port ${var.http_port} --drain-delay 15s${local.tls_flags}"
    key_vault_url      = var.join_secret.vault_url
    join_secret        = basename(var.join_secret.id)
    secrets            = var.certificate == null ? "" : "${var.certificate}=${basename(local.tls)}"
    identity_client_id = azurerm_user_assigned_identity.this.client_id
    join_token         = ""
  })
}
