# A machine's custom data: the cloud-config that Heddle writes for control planes, and
# beside it what Azure needs. No secret is in it.
locals {
  vault_url = trimsuffix(azurerm_key_vault.this.vault_uri, "/")

  discovery = yamlencode({
    sources = [{
      name = "azure"
      azure = {
        auth     = "managedIdentity"
        clientID = azurerm_user_assigned_identity.this.client_id
        cloud    = { "azure.net" = "public", "usgovcloudapi.net" = "usGovernment", "azure.cn" = "china" }[trimprefix(var.key_vault_dns_zone, "privatelink.vaultcore.")]
        listing  = "resourceGraph" # which Reader on the groups is enough for
        subscriptions = [{
          id             = data.azurerm_client_config.current.subscription_id
          resourceGroups = sort(setunion([var.resource_group_name], var.discovered_resource_groups))
        }]
      }
    }]
  })

  cluster = var.control_plane_count > 1

  # With one, the server makes its authority and its admin token itself.
  server_flags = concat(["--host ${local.host}", "--data-dir /var/lib/heddle/server"], local.cluster ? [
    "--etcd-endpoints ${join(",", [for machine in local.machines : "https://${machine.address}:2379"])}",
    "--etcd-ca-file /var/lib/heddle/authority/etcd-ca-cert.pem",
    "--etcd-cert-file /var/lib/heddle/authority/etcd-cert.pem",
    "--etcd-key-file /var/lib/heddle/authority/etcd-key.pem",
    "--ca-cert /var/lib/heddle/authority/ca-cert.pem",
    "--ca-key /var/lib/heddle/authority/ca-key.pem",
    "--initial-admin-token-file /var/lib/heddle/authority/admin-token",
    ] : [
    "--admin-token-file /var/lib/heddle/server/admin-token",
  ])

  base = {
    for index, machine in local.machines : index => yamldecode(templatefile("${path.module}/../../cloud-init/control-plane.yaml.tftpl", {
      heddle_url         = var.releases.heddle.url
      heddle_sha256      = var.releases.heddle.sha256
      listen_address     = machine.address
      discovery          = local.discovery
      server_flags       = join(" ", local.server_flags)
      key_vault_url      = "" # the server fetches nothing from it; what follows does
      secrets            = ""
      identity_client_id = ""
    }))
  }

  files = {
    for index, machine in local.machines : index => merge({
      "/etc/heddle/azure.env" = {
        mode = "0644"
        text = <<-EOT
          VAULT_URL='${local.vault_url}'
          IDENTITY_CLIENT_ID='${azurerm_user_assigned_identity.this.client_id}'
          GATEWAYS='${join(" ", sort(var.gateways))}'
          NUMBER='${index}'
          ADDRESS='${machine.address}'
          ADMIN_TOKEN_FILE='/var/lib/heddle/${local.cluster ? "authority" : "server"}/admin-token'
          ETCD_URL='${local.cluster ? var.releases.etcd.url : ""}'
          ETCD_SHA256='${local.cluster ? var.releases.etcd.sha256 : ""}'
        EOT
      }
      # The server's flags say where its data and tokens are, each once.
      "/etc/systemd/system/heddle-server.service.d/azure.conf" = {
        mode = "0644"
        text = <<-EOT
          [Unit]
          Requires=heddle-disk.service ${local.cluster ? "heddle-authority.service" : ""}
          Wants=${local.cluster ? "heddle-etcd.service" : ""}
          After=heddle-disk.service heddle-authority.service heddle-etcd.service

          [Service]
          ExecStart=
          ExecStart=/usr/local/bin/heddle server $HEDDLE_FLAGS
        EOT
      }
      "/usr/local/lib/heddle/vault"                    = { mode = "0755", text = file("${path.module}/files/vault") }
      "/usr/local/lib/heddle/disk"                     = { mode = "0755", text = file("${path.module}/files/disk") }
      "/usr/local/lib/heddle/join-tokens"              = { mode = "0755", text = file("${path.module}/files/join-tokens") }
      "/etc/systemd/system/heddle-disk.service"        = { mode = "0644", text = file("${path.module}/files/heddle-disk.service") }
      "/etc/systemd/system/heddle-join-tokens.service" = { mode = "0644", text = file("${path.module}/files/heddle-join-tokens.service") }
      "/etc/systemd/system/heddle-join-tokens.timer"   = { mode = "0644", text = file("${path.module}/files/heddle-join-tokens.timer") }
      }, local.cluster ? {
      "/usr/local/lib/heddle/authority"              = { mode = "0755", text = file("${path.module}/files/authority") }
      "/usr/local/lib/heddle/etcd-install"           = { mode = "0755", text = file("${path.module}/files/etcd-install") }
      "/etc/systemd/system/heddle-authority.service" = { mode = "0644", text = file("${path.module}/files/heddle-authority.service") }
      "/etc/systemd/system/heddle-etcd.service"      = { mode = "0644", text = file("${path.module}/files/heddle-etcd.service") }
      "/etc/heddle/etcd.env" = {
        mode = "0644"
        text = <<-EOT
          ETCD_NAME='${index}'
          ETCD_INITIAL_CLUSTER='${join(",", [for number, member in local.machines : "${number}=https://${member.address}:2380"])}'
          ETCD_INITIAL_CLUSTER_TOKEN='${var.name}'
          ETCD_INITIAL_ADVERTISE_PEER_URLS='https://${machine.address}:2380'
          ETCD_LISTEN_PEER_URLS='https://${machine.address}:2380'
          ETCD_LISTEN_CLIENT_URLS='https://${machine.address}:2379'
          ETCD_ADVERTISE_CLIENT_URLS='https://${machine.address}:2379'
        EOT
      }
    } : {})
  }

  units = concat(["heddle-disk.service", "heddle-join-tokens.timer"], local.cluster ? ["heddle-authority.service", "heddle-etcd.service"] : [])

  cloud_init = {
    for index, base in local.base : index => "#cloud-config\n${yamlencode(merge(base, {
      write_files = concat(base.write_files, [for path, file in local.files[index] : { path = path, permissions = file.mode, content = file.text }])
      runcmd      = concat(base.runcmd, [concat(["systemctl", "enable", "--now", "--no-block"], local.units)])
    }))}"
  }
}
