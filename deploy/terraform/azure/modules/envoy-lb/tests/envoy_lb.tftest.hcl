mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.ManagedIdentity/userAssignedIdentities/any"
      principal_id = "11111111-1111-1111-1111-111111111111"
      client_id    = "33333333-3333-3333-3333-333333333333"
    }
  }
  mock_resource "azurerm_public_ip" {
    defaults = {
      id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/publicIPAddresses/any"
      ip_address = "203.0.113.10"
    }
  }
  mock_resource "azurerm_lb" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/loadBalancers/edge"
    }
  }
  mock_resource "azurerm_lb_backend_address_pool" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/loadBalancers/edge/backendAddressPools/gateways"
    }
  }
  mock_resource "azurerm_lb_probe" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/loadBalancers/edge/probes/ready"
    }
  }
  mock_resource "azurerm_lb_rule" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/loadBalancers/edge/loadBalancingRules/http"
    }
  }
  mock_resource "azurerm_linux_virtual_machine_scale_set" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Compute/virtualMachineScaleSets/any"
    }
  }
}

variables {
  resource_group_name  = "mesh"
  location             = "westeurope"
  admin_ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPDcOhBPHGe3J0cUmEEOxTvxSiAcqSdPB1X0pIEfSxS9 somebody"
  subnet_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle/subnets/gateways"
  control_plane        = { server = "https://control-plane.heddle.internal:7443", xds = ["10.60.0.10:18443"] }
  join_secret = {
    id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.KeyVault/vaults/mesh-join/secrets/join-gateway-edge"
    vault_url = "https://mesh-join.vault.azure.net"
  }
  releases = {
    heddle = { url = "https://releases.example.com/heddle", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    envoy  = { url = "https://releases.example.com/envoy", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
}

run "defaults" {
  command = apply

  assert {
    condition     = length(azurerm_role_assignment.secrets) == 1 && azurerm_role_assignment.secrets["join"].role_definition_name == "Key Vault Secrets User" && azurerm_role_assignment.secrets["join"].scope == var.join_secret.id && azurerm_role_assignment.secrets["join"].principal_id == azurerm_user_assigned_identity.this.principal_id
    error_message = "The gateways may more, or less, than read the one secret."
  }

  assert {
    condition     = azurerm_lb_rule.http.frontend_port == 80 && azurerm_lb_rule.http.backend_port == 8080 && azurerm_lb_rule.http.disable_outbound_snat && azurerm_lb_rule.http.probe_id == azurerm_lb_probe.ready.id
    error_message = "The load balancer does not lead to ready gateways, or lets machines out by its address."
  }

  assert {
    condition     = azurerm_lb_probe.ready.protocol == "Http" && azurerm_lb_probe.ready.request_path == "/.heddle/ready" && azurerm_lb_probe.ready.port == 8080 && azurerm_lb_probe.ready.interval_in_seconds * azurerm_lb_probe.ready.number_of_probes == 10
    error_message = "The probe does not ask whether the gateway is ready."
  }

  assert {
    condition     = azurerm_lb.this.sku == "Standard" && azurerm_public_ip.this.sku == "Standard" && azurerm_public_ip.this.zones == toset(["1", "2", "3"]) && output.public_address == "203.0.113.10"
    error_message = "The address is not of all zones."
  }

  assert {
    condition     = length(azurerm_linux_virtual_machine_scale_set.this.network_interface[0].ip_configuration[0].public_ip_address) == 0
    error_message = "A gateway's machine has a public address of its own."
  }

  assert {
    condition     = alltrue([for vm in [azurerm_linux_virtual_machine_scale_set.this] : vm.disable_password_authentication && vm.admin_password == null && length(vm.admin_ssh_key) == 1])
    error_message = "Somebody can log in by a password."
  }

  assert {
    condition     = alltrue([for vm in [azurerm_linux_virtual_machine_scale_set.this] : vm.secure_boot_enabled && vm.vtpm_enabled && length(vm.boot_diagnostics) == 1])
    error_message = "A machine boots what nobody signed, or says nothing when it does not boot."
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.upgrade_mode == "Rolling" && azurerm_linux_virtual_machine_scale_set.this.rolling_upgrade_policy[0].maximum_surge_instances_enabled && !azurerm_linux_virtual_machine_scale_set.this.overprovision
    error_message = "Machines are not replaced by new ones, one batch after the other."
  }

  assert {
    condition     = anytrue([for extension in azurerm_linux_virtual_machine_scale_set.this.extension : extension.type == "ApplicationHealthLinux" && jsondecode(extension.settings) == { protocol = "http", port = 8080, requestPath = "/.heddle/ready" }])
    error_message = "An upgrade does not wait until a new gateway is ready."
  }

  assert {
    condition     = strcontains(base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data), "https://control-plane.heddle.internal:7443") && strcontains(base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data), "10.60.0.10:18443") && strcontains(base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data), var.join_secret.vault_url)
    error_message = "A gateway is not told where the control plane or its join token is."
  }

  assert {
    condition     = !can(regex("(hd[lj]_[0-9a-f]{12}_|PRIVATE KEY|password[:=])", base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data))) && length(azurerm_linux_virtual_machine_scale_set.this.custom_data) < 65536
    error_message = "Custom data has a secret, or is more than Azure takes."
  }
}

run "https" {
  command = apply

  variables {
    certificate = "edge-tls"
  }

  assert {
    condition     = length(azurerm_role_assignment.secrets) == 2 && azurerm_role_assignment.secrets["certificate"].scope == "${dirname(var.join_secret.id)}/edge-tls" && azurerm_role_assignment.secrets["certificate"].role_definition_name == "Key Vault Secrets User"
    error_message = "The gateways may more, or less, than read the join token and the certificate."
  }

  assert {
    condition     = azurerm_lb_rule.https[0].frontend_port == 443 && azurerm_lb_rule.https[0].backend_port == 8443 && azurerm_lb_rule.https[0].protocol == "Tcp" && azurerm_lb_rule.https[0].probe_id == azurerm_lb_probe.ready.id && azurerm_lb_rule.https[0].disable_outbound_snat
    error_message = "The load balancer does not pass TLS on to ready gateways."
  }

  assert {
    condition     = strcontains(base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data), "HEDDLE_SECRETS='join-gateway-edge=join-token edge-tls=tls.pem'") && strcontains(base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data), "--https-port 8443 --public-port 443 --tls-cert /run/heddle/gateway/tls.pem --tls-key /run/heddle/gateway/tls.pem")
    error_message = "The gateways do not fetch the certificate, or do not serve with it."
  }
}

run "http_only" {
  command = plan

  assert {
    condition     = length(azurerm_lb_rule.https) == 0 && !strcontains(local.cloud_init, "tls.pem")
    error_message = "Without a certificate there is something of HTTPS."
  }
}

run "more_gateways" {
  command = apply

  variables {
    gateway_count      = 4
    encryption_at_host = true
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.instances == 4 && azurerm_linux_virtual_machine_scale_set.this.name == "heddle-edge" && output.public_address == run.defaults.public_address
    error_message = "More gateways have another address or another name."
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.encryption_at_host_enabled
    error_message = "Disks are not encrypted on the host although that was asked for."
  }
}

run "refuses_a_role_wider_than_one_secret" {
  command = plan
  variables {
    join_secret = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.KeyVault/vaults/mesh-join", vault_url = "https://mesh-join.vault.azure.net" }
  }
  expect_failures = [var.join_secret]
}

run "refuses_a_token_as_input" {
  command = plan
  variables {
    join_secret = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.KeyVault/vaults/mesh-join/secrets/x", vault_url = "a-token" }
  }
  expect_failures = [var.join_secret]
}

run "refuses_joining_over_plain_http" {
  command = plan
  variables {
    control_plane = { server = "http://10.60.0.10:7080", xds = ["10.60.0.10:18443"] }
  }
  expect_failures = [var.control_plane]
}

run "refuses_no_control_plane" {
  command = plan
  variables {
    control_plane = { server = "https://10.60.0.10:7443", xds = [] }
  }
  expect_failures = [var.control_plane]
}

run "refuses_a_port_that_needs_root" {
  command = plan
  variables {
    http_port = 80
  }
  expect_failures = [var.http_port]
}

run "refuses_no_gateway" {
  command = plan
  variables {
    gateway_count = 0
  }
  expect_failures = [var.gateway_count]
}

run "refuses_half_a_gateway" {
  command = plan
  variables {
    gateway_count = 1.5
  }
  expect_failures = [var.gateway_count]
}

run "refuses_a_gateway_that_is_no_name" {
  command = plan
  variables {
    gateway = "Edge"
  }
  expect_failures = [var.gateway]
}

run "refuses_a_port_that_is_none" {
  command = plan
  variables {
    frontend_port = 70000
  }
  expect_failures = [var.frontend_port]
}

run "refuses_a_release_over_plain_http" {
  command = plan
  variables {
    releases = {
      heddle = { url = "http://releases.example.com/x", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
      envoy  = { url = "http://releases.example.com/x", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    }
  }
  expect_failures = [var.releases]
}

run "refuses_a_release_without_a_checksum" {
  command = plan
  variables {
    releases = {
      heddle = { url = "https://releases.example.com/x", sha256 = "latest" }
      envoy  = { url = "https://releases.example.com/x", sha256 = "latest" }
    }
  }
  expect_failures = [var.releases]
}

run "refuses_a_private_key" {
  command = plan
  variables {
    admin_ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }
  expect_failures = [var.admin_ssh_public_key]
}

run "refuses_root_as_administrator" {
  command = plan
  variables {
    admin_username = "root"
  }
  expect_failures = [var.admin_username]
}

run "refuses_a_zone_that_is_none" {
  command = plan
  variables {
    zones = ["westeurope-1"]
  }
  expect_failures = [var.zones]
}

run "refuses_a_size_that_is_none" {
  command = plan
  variables {
    vm_size = "large"
  }
  expect_failures = [var.vm_size]
}

run "refuses_a_group_by_its_id" {
  command = plan
  variables {
    resource_group_name = "/subscriptions/x"
  }
  expect_failures = [var.resource_group_name]
}

run "refuses_a_regions_display_name" {
  command = plan
  variables {
    location = "West Europe"
  }
  expect_failures = [var.location]
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables {
    name = "Heddle"
  }
  expect_failures = [var.name]
}

run "refuses_tags_of_machines" {
  command = plan
  variables {
    tags = { Heddle-Service = "shop" }
  }
  expect_failures = [var.tags]
}

run "refuses_a_key_that_is_no_disk_encryption_set" {
  command = plan
  variables {
    disk_encryption_set_id = "my-key"
  }
  expect_failures = [var.disk_encryption_set_id]
}

run "refuses_a_subnets_name_for_its_id" {
  command = plan
  variables {
    subnet_id = "gateways"
  }
  expect_failures = [var.subnet_id]
}

run "refuses_a_tag_that_azure_does" {
  command = plan
  variables {
    tags = { "cost/center" = "shop" }
  }
  expect_failures = [var.tags]
}

run "refuses_a_certificate_that_is_no_name" {
  command = plan
  variables {
    certificate = "-----BEGIN CERTIFICATE-----"
  }
  expect_failures = [var.certificate]
}

run "refuses_one_port_for_both" {
  command = plan
  variables {
    certificate         = "edge-tls"
    https_frontend_port = 80
  }
  expect_failures = [var.https_frontend_port]
}

run "refuses_gateways_with_one_port_for_both" {
  command = plan
  variables {
    certificate = "edge-tls"
    https_port  = 8080
  }
  expect_failures = [var.https_port]
}
