# A machine's custom data: the application, and nothing of Heddle, which finds the machine
# by its tags.
locals {
  cloud_init = templatefile("${path.module}/../../cloud-init/backend.yaml.tftpl", {
    for name in local.variables : name => name == "app_script" ? var.app_script : ""
  })
  # All that the template knows; those of a sidecar stay empty.
  variables = [
    "app_port", "app_script", "control_plane_url", "control_plane_xds", "envoy_sha256", "envoy_url", "heddle_sha256", "heddle_url",
    "identity_client_id", "join_secret", "join_token", "key_vault_url", "proxy_flags", "region", "secrets", "service", "zone",
  ]
}
