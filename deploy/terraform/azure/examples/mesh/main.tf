# A mesh on Azure: a network, control planes, gateways behind a load balancer, and the
# machines of a service, which are found by their tags.
provider "azurerm" {
  subscription_id = var.subscription_id
  features {}

  # A subscription that never had such resources knows nothing of them.
  resource_providers_to_register = ["Microsoft.Compute", "Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network"]
}

resource "azurerm_resource_group" "mesh" {
  name     = var.resource_group_name
  location = var.location
  tags     = var.tags
}

module "network" {
  source = "../../modules/network"

  resource_group_name = azurerm_resource_group.mesh.name
  location            = var.location
  ingress_ports       = var.certificate == null ? [8080] : [8080, 8443]
  backend_ports       = [local.port]
  ssh_sources         = var.ssh_sources
  tags                = var.tags
}

module "control_plane" {
  source = "../../modules/control-plane"

  resource_group_name  = azurerm_resource_group.mesh.name
  location             = var.location
  virtual_network_id   = module.network.virtual_network_id
  subnet_id            = module.network.subnet_ids.control_plane
  subnet_prefix        = module.network.subnet_prefixes.control_plane
  endpoints_subnet_id  = module.network.subnet_ids.endpoints
  control_plane_count  = var.control_plane_count
  key_vault_name       = var.key_vault_name
  gateways             = ["edge"]
  releases             = { heddle = var.releases.heddle, etcd = var.releases.etcd }
  run_command          = var.run_command
  vm_size              = var.vm_sizes.control_plane
  admin_ssh_public_key = var.admin_ssh_public_key
  encryption_at_host   = var.encryption_at_host
  zones                = var.zones
  tags                 = var.tags
}

module "envoy_lb" {
  source = "../../modules/envoy-lb"

  resource_group_name  = azurerm_resource_group.mesh.name
  location             = var.location
  subnet_id            = module.network.subnet_ids.gateways
  gateway              = "edge"
  gateway_count        = var.gateway_count
  certificate          = var.certificate
  control_plane        = module.control_plane.connection
  join_secret          = module.control_plane.join_secrets["edge"]
  releases             = { heddle = var.releases.heddle, envoy = var.releases.envoy }
  vm_size              = var.vm_sizes.gateway
  admin_ssh_public_key = var.admin_ssh_public_key
  encryption_at_host   = var.encryption_at_host
  zones                = var.zones
  tags                 = var.tags
}

module "backends" {
  source = "../../modules/backend-vms"

  name                 = "shop"
  resource_group_name  = azurerm_resource_group.mesh.name
  location             = var.location
  subnet_id            = module.network.subnet_ids.backends
  service              = "shop"
  port                 = local.port
  backend_count        = var.backend_count
  app_script           = file("${path.module}/shop.sh")
  vm_size              = var.vm_sizes.backend
  admin_ssh_public_key = var.admin_ssh_public_key
  encryption_at_host   = var.encryption_at_host
  zones                = var.zones
  tags                 = var.tags
}

locals {
  port = 8080
}
