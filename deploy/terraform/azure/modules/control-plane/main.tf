data "azurerm_client_config" "current" {}

locals {
  # Whatever the order of zones, a machine keeps its number, address and zone.
  machines = {
    for index in range(var.control_plane_count) : tostring(index) => {
      address = cidrhost(var.subnet_prefix, 10 + index)
      zone    = length(var.zones) == 0 ? null : var.zones[index % length(var.zones)]
    }
  }
  host = "control-plane.${var.dns_zone}"
  disks = jsonencode({
    location            = var.location
    resource_group_name = var.resource_group_name
    zones               = { for index, machine in local.machines : "${var.name}-${index}" => machine.zone }
  })
}

resource "azurerm_network_interface" "this" {
  for_each = local.machines

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags

  ip_configuration {
    name                          = "only"
    subnet_id                     = var.subnet_id
    private_ip_address_allocation = "Static" # proxies know it, so it outlives the machine
    private_ip_address            = each.value.address
  }
}

# The registry and the authority: a machine that is replaced finds them again.
resource "azurerm_managed_disk" "data" {
  for_each = local.machines

  name                          = "${var.name}-${each.key}-data"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  create_option                 = "Empty"
  storage_account_type          = "Premium_LRS"
  disk_size_gb                  = var.data_disk_gb
  disk_encryption_set_id        = var.disk_encryption_set_id
  zone                          = each.value.zone
  network_access_policy         = "DenyAll"
  public_network_access_enabled = false
  tags                          = var.tags
}

# What the data disks were made with. Another number, zone or name would destroy disks, or
# leave the registry behind, so it is refused; terraform destroy is not, nor a -replace of this.
resource "terraform_data" "disks" {
  input = local.disks

  lifecycle {
    ignore_changes = [input]

    postcondition {
      condition     = self.output == local.disks
      error_message = "This would destroy data disks, or leave the registry on one behind: the control planes were made with another control_plane_count, zones, name, resource_group_name or location (made with ${self.output}, wanted ${local.disks}). Give what they were made with; the module's README says how to do it all the same."
    }
  }
}

resource "azurerm_linux_virtual_machine" "this" {
  for_each = local.machines

  name                            = "${var.name}-${each.key}"
  computer_name                   = "${var.name}-${each.key}"
  resource_group_name             = var.resource_group_name
  location                        = var.location
  zone                            = each.value.zone
  size                            = var.vm_size
  network_interface_ids           = [azurerm_network_interface.this[each.key].id]
  custom_data                     = base64encode(local.cloud_init[each.key])
  admin_username                  = var.admin_username
  disable_password_authentication = true
  allow_extension_operations      = var.run_command
  encryption_at_host_enabled      = var.encryption_at_host
  secure_boot_enabled             = true
  vtpm_enabled                    = true
  tags                            = var.tags

  admin_ssh_key {
    username   = var.admin_username
    public_key = trimspace(var.admin_ssh_public_key)
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  os_disk {
    caching                = "ReadWrite"
    storage_account_type   = "Premium_LRS"
    disk_encryption_set_id = var.disk_encryption_set_id
  }

  source_image_reference {
    publisher = var.image.publisher
    offer     = var.image.offer
    sku       = var.image.sku
    version   = var.image.version
  }

  boot_diagnostics {}

  lifecycle {
    # Other versions would replace all machines at once. They are replaced one after the
    # other instead (terraform apply -replace, see the README), and have the new versions then.
    ignore_changes = [custom_data, source_image_reference]
    # One that knows nothing of the others beside two that wait for it would be no cluster.
    replace_triggered_by = [terraform_data.disks]

    precondition {
      condition     = length(base64encode(local.cloud_init[each.key])) <= 87380
      error_message = "The custom data is longer than the 65,535 bytes that Azure takes: name fewer gateways or resource groups."
    }
  }

  # The first thing a machine does is to use its rights.
  depends_on = [
    azurerm_role_assignment.reader,
    azurerm_role_assignment.secrets,
    azurerm_private_endpoint.key_vault,
  ]
}

resource "azurerm_virtual_machine_data_disk_attachment" "data" {
  for_each = local.machines

  managed_disk_id    = azurerm_managed_disk.data[each.key].id
  virtual_machine_id = azurerm_linux_virtual_machine.this[each.key].id
  lun                = 0
  caching            = "None" # etcd counts on what is written being on disk
}
