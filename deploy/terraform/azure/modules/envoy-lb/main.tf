resource "azurerm_public_ip" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = var.zones
  tags                = var.tags
}

resource "azurerm_lb" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "Standard"
  tags                = var.tags

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = azurerm_public_ip.this.id
  }
}

resource "azurerm_lb_backend_address_pool" "this" {
  name            = "gateways"
  loadbalancer_id = azurerm_lb.this.id
}

# A gateway that is about to end answers 503 here for 15 seconds before it refuses
# connections: longer than two of these take.
resource "azurerm_lb_probe" "ready" {
  name                = "ready"
  loadbalancer_id     = azurerm_lb.this.id
  protocol            = "Http"
  port                = var.http_port
  request_path        = "/.heddle/ready"
  interval_in_seconds = 5
  number_of_probes    = 2
  probe_threshold     = 2
}

resource "azurerm_lb_rule" "http" {
  name                           = "http"
  loadbalancer_id                = azurerm_lb.this.id
  frontend_ip_configuration_name = "public"
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.this.id]
  probe_id                       = azurerm_lb_probe.ready.id
  protocol                       = "Tcp"
  frontend_port                  = var.frontend_port
  backend_port                   = var.http_port
  disable_outbound_snat          = true # machines go out by the network's NAT gateway
  tcp_reset_enabled              = true
  idle_timeout_in_minutes        = 10
}

# TLS ends in the gateways: the load balancer passes on what it cannot read.
resource "azurerm_lb_rule" "https" {
  count = var.certificate == null ? 0 : 1

  name                           = "https"
  loadbalancer_id                = azurerm_lb.this.id
  frontend_ip_configuration_name = "public"
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.this.id]
  probe_id                       = azurerm_lb_probe.ready.id
  protocol                       = "Tcp"
  frontend_port                  = var.https_frontend_port
  backend_port                   = var.https_port
  disable_outbound_snat          = true # machines go out by the network's NAT gateway
  tcp_reset_enabled              = true
  idle_timeout_in_minutes        = 10
}

resource "azurerm_linux_virtual_machine_scale_set" "this" {
  name                            = var.name
  computer_name_prefix            = "${var.name}-"
  resource_group_name             = var.resource_group_name
  location                        = var.location
  zones                           = var.zones
  zone_balance                    = length(var.zones) > 1
  sku                             = var.vm_size
  instances                       = var.gateway_count
  custom_data                     = base64encode(local.cloud_init)
  admin_username                  = var.admin_username
  disable_password_authentication = true
  encryption_at_host_enabled      = var.encryption_at_host
  secure_boot_enabled             = true
  vtpm_enabled                    = true
  overprovision                   = false # as surges of an upgrade need it; and no machine that comes and goes
  single_placement_group          = false
  upgrade_mode                    = "Rolling"
  tags                            = var.tags

  admin_ssh_key {
    username   = var.admin_username
    public_key = trimspace(var.admin_ssh_public_key)
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  network_interface {
    name    = "only"
    primary = true

    ip_configuration {
      name                                   = "only"
      primary                                = true
      subnet_id                              = var.subnet_id
      load_balancer_backend_address_pool_ids = [azurerm_lb_backend_address_pool.this.id]
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
    settings                   = jsonencode({ protocol = "http", port = var.http_port, requestPath = "/.heddle/ready" })
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
    grace_period = "PT30M" # a new role, which its join token is read by, may take ten minutes to count
  }

  # A machine that is to go is told so five minutes before, and can finish what it has.
  termination_notification {
    enabled = true
    timeout = "PT5M"
  }

  lifecycle {
    precondition {
      condition     = length(base64encode(local.cloud_init)) <= 87380
      error_message = "The custom data is longer than the 65,535 bytes that Azure takes: name fewer control planes."
    }
  }

  # The first thing a machine does is to fetch its join token.
  depends_on = [azurerm_role_assignment.secrets, azurerm_lb_rule.http, azurerm_lb_rule.https]
}
