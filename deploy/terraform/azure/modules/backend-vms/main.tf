resource "azurerm_linux_virtual_machine_scale_set" "this" {
  name                            = var.name
  computer_name_prefix            = "${var.name}-"
  resource_group_name             = var.resource_group_name
  location                        = var.location
  zones                           = var.zones
  zone_balance                    = length(var.zones) > 1
  sku                             = var.vm_size
  instances                       = var.backend_count
  custom_data                     = base64encode(local.cloud_init)
  admin_username                  = var.admin_username
  disable_password_authentication = true
  encryption_at_host_enabled      = var.encryption_at_host
  secure_boot_enabled             = true
  vtpm_enabled                    = true
  overprovision                   = false # as surges of an upgrade need it; and no machine that comes and goes
  single_placement_group          = false
  upgrade_mode                    = "Rolling"
  tags = merge(var.tags, {
    heddle-service = var.service
    heddle-port    = tostring(var.port)
    heddle-weight  = tostring(var.weight)
  })

  admin_ssh_key {
    username   = var.admin_username
    public_key = trimspace(var.admin_ssh_public_key)
  }

  network_interface {
    name    = "only"
    primary = true

    ip_configuration {
      name      = "only"
      primary   = true
      subnet_id = var.subnet_id
    }
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

  # Says to Azure which machines serve: upgrades and repairs wait for it.
  extension {
    name                       = "health"
    publisher                  = "Microsoft.ManagedServices"
    type                       = "ApplicationHealthLinux"
    type_handler_version       = "1.0"
    auto_upgrade_minor_version = true
    settings                   = jsonencode({ protocol = "http", port = var.port, requestPath = var.health_path })
  }

  # Another image or size starts new machines first, and takes old ones away once the new
  # serve. Other custom data reaches new machines only: the page says how to have them.
  rolling_upgrade_policy {
    max_batch_instance_percent              = 20
    max_unhealthy_instance_percent          = 20
    max_unhealthy_upgraded_instance_percent = 20
    pause_time_between_batches              = "PT30S"
    maximum_surge_instances_enabled         = true
    prioritize_unhealthy_instances_enabled  = true
  }

  automatic_instance_repair {
    enabled      = true
    action       = "Replace"
    grace_period = "PT10M"
  }

  # A machine that is to go is told so five minutes before, and can finish what it has.
  termination_notification {
    enabled = true
    timeout = "PT5M"
  }

  lifecycle {
    precondition {
      condition     = length(base64encode(local.cloud_init)) <= 87380
      error_message = "The custom data is longer than the 65,535 bytes that Azure takes: have app_script fetch what it needs."
    }
  }
}
