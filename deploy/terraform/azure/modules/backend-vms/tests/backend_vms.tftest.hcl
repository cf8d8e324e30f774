mock_provider "azurerm" {
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
  subnet_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle/subnets/backends"
  service              = "shop"
  app_script           = "#!/bin/sh\nexec true\n"
}

run "defaults" {
  command = apply

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.tags == tomap({ heddle-service = "shop", heddle-port = "8080", heddle-weight = "1" })
    error_message = "The control plane does not find the machines by their tags."
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.upgrade_mode == "Rolling" && azurerm_linux_virtual_machine_scale_set.this.rolling_upgrade_policy[0].maximum_surge_instances_enabled && !azurerm_linux_virtual_machine_scale_set.this.overprovision
    error_message = "Machines are not replaced by new ones, one batch after the other."
  }

  assert {
    condition     = anytrue([for extension in azurerm_linux_virtual_machine_scale_set.this.extension : extension.type == "ApplicationHealthLinux" && jsondecode(extension.settings) == { protocol = "http", port = 8080, requestPath = "/" }])
    error_message = "An upgrade does not wait until a new machine serves."
  }

  assert {
    condition     = length(azurerm_linux_virtual_machine_scale_set.this.network_interface[0].ip_configuration[0].public_ip_address) == 0 && length(azurerm_linux_virtual_machine_scale_set.this.identity) == 0
    error_message = "A backend has a public address, or rights in Azure."
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
    condition     = !can(regex("(hd[lj]_[0-9a-f]{12}_|PRIVATE KEY|password[:=])", base64decode(azurerm_linux_virtual_machine_scale_set.this.custom_data))) && length(azurerm_linux_virtual_machine_scale_set.this.custom_data) < 65536
    error_message = "Custom data has a secret, or is more than Azure takes."
  }
}

run "scale_out_keeps_what_there_is" {
  command = apply

  variables {
    backend_count = 4
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.instances == 4 && azurerm_linux_virtual_machine_scale_set.this.name == "heddle-backends" && azurerm_linux_virtual_machine_scale_set.this.computer_name_prefix == "heddle-backends-" && output.scale_set_id == run.defaults.scale_set_id
    error_message = "More machines change those that there are."
  }
}

run "of_another_service" {
  command = plan

  variables {
    service            = "orders"
    port               = 9000
    weight             = 5
    health_path        = "/healthz"
    encryption_at_host = true
    zones              = ["2"]
    tags               = { team = "orders" }
  }

  assert {
    condition     = azurerm_linux_virtual_machine_scale_set.this.tags == tomap({ heddle-service = "orders", heddle-port = "9000", heddle-weight = "5", team = "orders" }) && azurerm_linux_virtual_machine_scale_set.this.encryption_at_host_enabled && !azurerm_linux_virtual_machine_scale_set.this.zone_balance
    error_message = "The inputs are not what the machines are."
  }
}

run "refuses_a_service_that_is_no_name" {
  command = plan
  variables {
    service = "Shop:8080"
  }
  expect_failures = [var.service]
}

run "refuses_a_port_that_is_none" {
  command = plan
  variables {
    port = 0
  }
  expect_failures = [var.port]
}

run "refuses_ssh_as_port" {
  command = plan
  variables {
    port = 22
  }
  expect_failures = [var.port]
}

run "refuses_a_weight_that_discovery_refuses" {
  command = plan
  variables {
    weight = 1001
  }
  expect_failures = [var.weight]
}

run "refuses_too_many_machines" {
  command = plan
  variables {
    backend_count = 601
  }
  expect_failures = [var.backend_count]
}

run "refuses_fewer_than_none" {
  command = plan
  variables {
    backend_count = -1
  }
  expect_failures = [var.backend_count]
}

run "refuses_a_health_path_that_is_none" {
  command = plan
  variables {
    health_path = "healthz"
  }
  expect_failures = [var.health_path]
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

run "refuses_a_script_that_is_none" {
  command = plan
  variables {
    app_script = "apt-get install shop"
  }
  expect_failures = [var.app_script]
}

run "refuses_a_secret_in_the_script" {
  command = plan
  variables {
    app_script = "#!/bin/sh\necho hdl_0123456789ab_secret > /etc/token\n"
  }
  expect_failures = [var.app_script]
}

run "refuses_a_tag_that_azure_does" {
  command = plan
  variables {
    tags = { "cost/center" = "shop" }
  }
  expect_failures = [var.tags]
}
