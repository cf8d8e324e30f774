mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      subscription_id = "00000000-0000-0000-0000-000000000000"
      tenant_id       = "22222222-2222-2222-2222-222222222222"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.ManagedIdentity/userAssignedIdentities/any"
      principal_id = "11111111-1111-1111-1111-111111111111"
      client_id    = "33333333-3333-3333-3333-333333333333"
    }
  }
  mock_resource "azurerm_key_vault" {
    defaults = {
      id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.KeyVault/vaults/mesh-join"
      vault_uri = "https://mesh-join.vault.azure.net/"
    }
  }
  mock_resource "azurerm_network_interface" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/networkInterfaces/any"
    }
  }
  mock_resource "azurerm_managed_disk" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Compute/disks/any"
    }
  }
  mock_resource "azurerm_linux_virtual_machine" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Compute/virtualMachines/any"
    }
  }
  mock_resource "azurerm_private_dns_zone" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/privateDnsZones/any.example"
    }
  }
  mock_resource "azurerm_private_endpoint" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/privateEndpoints/any"
    }
  }
}

variables {
  resource_group_name  = "mesh"
  location             = "westeurope"
  admin_ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPDcOhBPHGe3J0cUmEEOxTvxSiAcqSdPB1X0pIEfSxS9 somebody"
  subnet_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle/subnets/control-plane"
  endpoints_subnet_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle/subnets/endpoints"
  virtual_network_id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle"
  subnet_prefix        = "10.60.0.0/24"
  key_vault_name       = "mesh-join"
  releases = {
    heddle = { url = "https://releases.example.com/heddle", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    etcd   = { url = "https://releases.example.com/etcd", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
}

run "one_control_plane" {
  command = apply

  assert {
    condition     = keys(azurerm_linux_virtual_machine.this) == ["0"] && output.private_addresses == ["10.60.0.10"]
    error_message = "There is not one machine with the address that proxies are told."
  }

  assert {
    condition     = output.connection == { server = "https://control-plane.heddle.internal:7443", xds = ["10.60.0.10:18443"] } && azurerm_private_dns_a_record.control_plane.records == toset(["10.60.0.10"])
    error_message = "Machines of the mesh are told another place than the control plane's."
  }

  assert {
    condition     = [for role in concat(values(azurerm_role_assignment.reader), values(azurerm_role_assignment.secrets)) : "${role.role_definition_name} of ${role.scope}"] == ["Reader of /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh", "Key Vault Secrets Officer of ${azurerm_key_vault.this.id}/secrets/join-gateway-edge"]
    error_message = "The control plane's identity may more, or less, than read its group and write the one secret."
  }

  assert {
    condition     = alltrue([for role in concat(values(azurerm_role_assignment.reader), values(azurerm_role_assignment.secrets)) : role.principal_id == azurerm_user_assigned_identity.this.principal_id])
    error_message = "A role is somebody else's."
  }

  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled && azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90 && !azurerm_key_vault.this.public_network_access_enabled
    error_message = "The vault is open to the Internet, can be purged, or has access policies."
  }

  assert {
    condition     = azurerm_key_vault.this.network_acls[0].default_action == "Deny" && azurerm_key_vault.this.network_acls[0].bypass == "None"
    error_message = "The vault's network rules let somebody by."
  }

  assert {
    condition     = azurerm_private_endpoint.key_vault.subnet_id == var.endpoints_subnet_id && azurerm_private_endpoint.key_vault.private_service_connection[0].private_connection_resource_id == azurerm_key_vault.this.id
    error_message = "The vault is not reached by the private endpoint."
  }

  assert {
    condition     = alltrue([for vm in values(azurerm_linux_virtual_machine.this) : vm.disable_password_authentication && vm.admin_password == null && length(vm.admin_ssh_key) == 1])
    error_message = "Somebody can log in by a password."
  }

  assert {
    condition     = alltrue([for vm in values(azurerm_linux_virtual_machine.this) : vm.secure_boot_enabled && vm.vtpm_enabled && length(vm.boot_diagnostics) == 1])
    error_message = "A machine boots what nobody signed, or says nothing when it does not boot."
  }

  assert {
    condition     = alltrue([for vm in azurerm_linux_virtual_machine.this : vm.identity[0].type == "UserAssigned" && vm.identity[0].identity_ids == toset([azurerm_user_assigned_identity.this.id])])
    error_message = "A machine has another identity."
  }

  assert {
    condition     = alltrue([for nic in azurerm_network_interface.this : nic.ip_configuration[0].public_ip_address_id == null && nic.ip_configuration[0].private_ip_address_allocation == "Static"])
    error_message = "A control plane has a public address, or one that changes."
  }

  assert {
    condition     = alltrue([for disk in azurerm_managed_disk.data : disk.network_access_policy == "DenyAll" && !disk.public_network_access_enabled]) && azurerm_virtual_machine_data_disk_attachment.data["0"].caching == "None"
    error_message = "A disk can be exported, or what etcd wrote may not be on it."
  }

  assert {
    condition     = output.join_secrets == { edge = { id = "${azurerm_key_vault.this.id}/secrets/join-gateway-edge", vault_url = "https://mesh-join.vault.azure.net" } }
    error_message = "The gateway's module cannot be told where its token is."
  }

  assert {
    condition = one([
      for file in yamldecode(base64decode(azurerm_linux_virtual_machine.this["0"].custom_data)).write_files : yamldecode(base64decode(file.content))
      if file.path == "/etc/heddle/discovery.yaml"
    ]).sources[0].azure.subscriptions == [{ id = "00000000-0000-0000-0000-000000000000", resourceGroups = ["mesh"] }]
    error_message = "The control plane does not look for machines in its group."
  }

  assert {
    condition     = alltrue([for vm in azurerm_linux_virtual_machine.this : !can(regex("(hd[lj]_[0-9a-f]{12}_|PRIVATE KEY|password[:=]|AccountKey)", base64decode(vm.custom_data))) && length(vm.custom_data) < 65536])
    error_message = "Custom data has a secret, or is more than Azure takes."
  }
}

run "refuses_to_grow_from_one_to_three" {
  command = plan
  variables {
    control_plane_count = 3
  }
  expect_failures = [terraform_data.disks]
}

run "refuses_to_put_disks_into_other_zones" {
  command = plan
  variables {
    zones = ["2", "3"]
  }
  expect_failures = [terraform_data.disks]
}

run "three_control_planes" {
  command   = apply
  state_key = "three"

  variables {
    control_plane_count        = 3
    gateways                   = ["edge", "internal"]
    discovered_resource_groups = ["shop"]
    encryption_at_host         = true
    run_command                = false
  }

  assert {
    condition     = alltrue([for vm in azurerm_linux_virtual_machine.this : !vm.allow_extension_operations])
    error_message = "A machine takes extensions although they were refused."
  }

  assert {
    condition = alltrue([
      for vm in azurerm_linux_virtual_machine.this : length(setsubtract(
        ["/usr/local/lib/heddle/authority", "/etc/systemd/system/heddle-etcd.service", "/etc/heddle/etcd.env"],
        [for file in yamldecode(base64decode(vm.custom_data)).write_files : file.path]
      )) == 0
    ])
    error_message = "A machine has no etcd."
  }

  assert {
    condition     = strcontains(base64decode(azurerm_linux_virtual_machine.this["2"].custom_data), "https://10.60.0.10:2379,https://10.60.0.11:2379,https://10.60.0.12:2379") && strcontains(base64decode(azurerm_linux_virtual_machine.this["2"].custom_data), "NUMBER='2'")
    error_message = "The third server does not know the cluster, or itself."
  }

  assert {
    condition     = alltrue([for vm in azurerm_linux_virtual_machine.this : !can(regex("(hd[lj]_[0-9a-f]{12}_|PRIVATE KEY-|[Pp]assword[:=])", base64decode(vm.custom_data))) && length(vm.custom_data) < 65536])
    error_message = "Custom data has a secret, or is more than Azure takes."
  }

  assert {
    condition     = output.private_addresses == ["10.60.0.10", "10.60.0.11", "10.60.0.12"] && output.connection.xds == ["10.60.0.10:18443", "10.60.0.11:18443", "10.60.0.12:18443"] && length(azurerm_private_dns_a_record.control_plane.records) == 3
    error_message = "Not all of the three are told to proxies."
  }

  assert {
    condition     = azurerm_network_interface.this["0"].ip_configuration[0].private_ip_address == run.one_control_plane.private_addresses[0] && azurerm_linux_virtual_machine.this["0"].name == "heddle-0"
    error_message = "The first control plane has another name or address when two join it."
  }

  assert {
    condition     = [for vm in azurerm_linux_virtual_machine.this : vm.zone] == ["1", "2", "3"] && [for disk in azurerm_managed_disk.data : disk.zone] == ["1", "2", "3"]
    error_message = "They share a zone, or a disk is in another one than its machine."
  }

  assert {
    condition     = keys(azurerm_role_assignment.secrets) == ["control-plane-authority", "join-gateway-edge", "join-gateway-internal"] && keys(azurerm_role_assignment.reader) == ["mesh", "shop"]
    error_message = "The roles are not those that are needed."
  }

  assert {
    condition     = keys(output.join_secrets) == ["edge", "internal"]
    error_message = "The authority's secret is handed out, or a token is not."
  }

  assert {
    condition     = alltrue([for vm in azurerm_linux_virtual_machine.this : vm.encryption_at_host_enabled])
    error_message = "Disks are not encrypted on the host although that was asked for."
  }
}

run "refuses_to_shrink_from_three_to_one" {
  command   = plan
  state_key = "three"
  variables {
    control_plane_count = 1
  }
  expect_failures = [terraform_data.disks]
}

run "a_region_without_zones" {
  command   = plan
  state_key = "without_zones"

  variables {
    zones = []
  }

  assert {
    condition     = azurerm_linux_virtual_machine.this["0"].zone == null && azurerm_managed_disk.data["0"].zone == null
    error_message = "A machine has a zone where there is none."
  }
}

run "refuses_two_control_planes" {
  command   = plan
  state_key = "nothing_yet"
  variables {
    control_plane_count = 2
  }
  expect_failures = [var.control_plane_count]
}

run "refuses_five_control_planes" {
  command   = plan
  state_key = "nothing_yet"
  variables {
    control_plane_count = 5
  }
  expect_failures = [var.control_plane_count]
}

run "refuses_three_without_etcd" {
  command   = plan
  state_key = "nothing_yet"
  variables {
    control_plane_count = 3
    releases            = { heddle = { url = "https://releases.example.com/heddle", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.releases]
}

run "refuses_a_vault_name_that_is_too_long" {
  command = plan
  variables {
    key_vault_name = "a-vault-name-of-25-letters"
  }
  expect_failures = [var.key_vault_name]
}

run "refuses_a_vault_name_with_two_hyphens" {
  command = plan
  variables {
    key_vault_name = "mesh--join"
  }
  expect_failures = [var.key_vault_name]
}

run "refuses_a_gateway_that_is_no_name" {
  command = plan
  variables {
    gateways = ["Edge"]
  }
  expect_failures = [var.gateways]
}

run "refuses_groups_by_their_ids" {
  command = plan
  variables {
    discovered_resource_groups = ["/subscriptions/x/resourceGroups/shop"]
  }
  expect_failures = [var.discovered_resource_groups]
}

run "refuses_a_subnet_too_small_for_its_addresses" {
  command = plan
  variables {
    subnet_prefix = "10.60.0.0/29"
  }
  expect_failures = [var.subnet_prefix]
}

run "refuses_a_zone_of_one_part" {
  command = plan
  variables {
    dns_zone = "heddle"
  }
  expect_failures = [var.dns_zone]
}

run "refuses_a_disk_too_small" {
  command = plan
  variables {
    data_disk_gb = 1
  }
  expect_failures = [var.data_disk_gb]
}

run "refuses_a_vault_zone_of_no_cloud" {
  command = plan
  variables {
    key_vault_dns_zone = "example.com"
  }
  expect_failures = [var.key_vault_dns_zone]
}

run "refuses_a_networks_name_for_its_id" {
  command = plan
  variables {
    virtual_network_id = "heddle"
  }
  expect_failures = [var.virtual_network_id]
}

run "refuses_an_endpoints_subnet_by_its_name" {
  command = plan
  variables {
    endpoints_subnet_id = "endpoints"
  }
  expect_failures = [var.endpoints_subnet_id]
}

run "refuses_a_release_over_plain_http" {
  command = plan
  variables {
    releases = {
      heddle = { url = "http://releases.example.com/x", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
      etcd   = { url = "http://releases.example.com/x", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    }
  }
  expect_failures = [var.releases]
}

run "refuses_a_release_without_a_checksum" {
  command = plan
  variables {
    releases = {
      heddle = { url = "https://releases.example.com/x", sha256 = "latest" }
      etcd   = { url = "https://releases.example.com/x", sha256 = "latest" }
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
  command   = plan
  state_key = "nothing_yet"
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
  command   = plan
  state_key = "nothing_yet"
  variables {
    resource_group_name = "/subscriptions/x"
  }
  expect_failures = [var.resource_group_name]
}

run "refuses_a_regions_display_name" {
  command   = plan
  state_key = "nothing_yet"
  variables {
    location = "West Europe"
  }
  expect_failures = [var.location]
}

run "refuses_a_name_with_capitals" {
  command   = plan
  state_key = "nothing_yet"
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
