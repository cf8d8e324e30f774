locals {
  # Azure's own rules 65000 to 65500 let a whole network talk to itself: the last rule of
  # each group here closes that, so that only what is named above it is open.
  closed = {
    name        = "nothing-else"
    priority    = 4096
    access      = "Deny"
    protocol    = "*"
    sources     = ["*"]
    ports       = ["*"]
    description = "What no rule above names is closed, between machines of the network too."
    destination = "*"
    direction   = "Inbound"
  }

  ssh = length(var.ssh_sources) == 0 ? [] : [{
    name        = "ssh"
    priority    = 400
    access      = "Allow"
    protocol    = "Tcp"
    sources     = var.ssh_sources
    ports       = ["22"]
    description = "Asked for by ssh_sources."
    destination = "*"
    direction   = "Inbound"
  }]

  # Without these a machine can neither be installed nor ask Azure's API.
  outbound = [
    { name = "to-the-network", priority = 100, access = "Allow", protocol = "*", sources = ["VirtualNetwork"], ports = ["*"], destination = "VirtualNetwork", direction = "Outbound", description = "Who may be reached is what the other side's inbound rules say." },
    { name = "to-the-web", priority = 110, access = "Allow", protocol = "Tcp", sources = ["*"], ports = ["80", "443"], destination = "Internet", direction = "Outbound", description = "Packages, Azure's API." },
    { name = "nowhere-else", priority = 4096, access = "Deny", protocol = "*", sources = ["*"], ports = ["*"], destination = "*", direction = "Outbound", description = "What no rule above names is closed." },
  ]

  inbound = {
    control_plane = [
      { name = "mesh", priority = 100, access = "Allow", protocol = "Tcp", sources = [var.subnets.control_plane, var.subnets.gateways, var.subnets.backends], ports = [for port in var.control_plane_ports : tostring(port)], destination = "*", direction = "Inbound", description = "Machines of the mesh: configuration, identities, authorization." },
      { name = "etcd", priority = 110, access = "Allow", protocol = "Tcp", sources = [var.subnets.control_plane], ports = ["2379", "2380"], destination = "*", direction = "Inbound", description = "Control planes among themselves." },
    ]
    gateways = [
      { name = "ingress", priority = 100, access = "Allow", protocol = "Tcp", sources = var.ingress_sources, ports = [for port in var.ingress_ports : tostring(port)], destination = "*", direction = "Inbound", description = "What the load balancer passes on, which leaves the clients' addresses as they are." },
      { name = "probe", priority = 110, access = "Allow", protocol = "Tcp", sources = ["AzureLoadBalancer"], ports = [for port in var.ingress_ports : tostring(port)], destination = "*", direction = "Inbound", description = "The load balancer asks whether a gateway is ready." },
    ]
    backends = [
      { name = "mesh", priority = 100, access = "Allow", protocol = "Tcp", sources = [var.subnets.gateways, var.subnets.backends], ports = [for port in var.backend_ports : tostring(port)], destination = "*", direction = "Inbound", description = "Gateways, and backends among themselves." },
    ]
    endpoints = [
      { name = "key-vault", priority = 100, access = "Allow", protocol = "Tcp", sources = [var.subnets.control_plane, var.subnets.gateways, var.subnets.backends], ports = ["443"], destination = "*", direction = "Inbound", description = "The Key Vault's private endpoint." },
    ]
  }

  rules = {
    for subnet, rules in local.inbound :
    subnet => concat(rules, subnet == "endpoints" ? [] : local.ssh, [local.closed], local.outbound)
  }
}

resource "azurerm_virtual_network" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  address_space       = [var.address_space]
  tags                = var.tags
}

resource "azurerm_subnet" "this" {
  for_each = var.subnets

  name                              = replace(each.key, "_", "-")
  resource_group_name               = var.resource_group_name
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [each.value]
  default_outbound_access_enabled   = false
  private_endpoint_network_policies = "Enabled" # the group's rules hold for private endpoints, too
}

resource "azurerm_network_security_group" "this" {
  for_each = local.rules

  name                = "${var.name}-${replace(each.key, "_", "-")}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags

  # All rules in one place: one that somebody adds by hand is taken away by the next apply.
  security_rule = [
    for rule in each.value : {
      name        = rule.name
      description = rule.description
      priority    = rule.priority
      direction   = rule.direction
      access      = rule.access
      protocol    = rule.protocol

      source_port_range                          = "*"
      source_port_ranges                         = []
      source_address_prefix                      = length(rule.sources) == 1 ? rule.sources[0] : ""
      source_address_prefixes                    = length(rule.sources) == 1 ? [] : rule.sources
      source_application_security_group_ids      = []
      destination_port_range                     = length(rule.ports) == 1 ? rule.ports[0] : ""
      destination_port_ranges                    = length(rule.ports) == 1 ? [] : rule.ports
      destination_address_prefix                 = rule.destination
      destination_address_prefixes               = []
      destination_application_security_group_ids = []
    }
  ]
}

resource "azurerm_subnet_network_security_group_association" "this" {
  for_each = var.subnets

  subnet_id                 = azurerm_subnet.this[each.key].id
  network_security_group_id = azurerm_network_security_group.this[each.key].id
}

resource "azurerm_public_ip" "nat" {
  count = var.nat_gateway ? 1 : 0

  name                = "${var.name}-nat"
  resource_group_name = var.resource_group_name
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = var.tags
}

resource "azurerm_nat_gateway" "this" {
  count = var.nat_gateway ? 1 : 0

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku_name            = "Standard"
  tags                = var.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  count = var.nat_gateway ? 1 : 0

  nat_gateway_id       = azurerm_nat_gateway.this[0].id
  public_ip_address_id = azurerm_public_ip.nat[0].id
}

resource "azurerm_subnet_nat_gateway_association" "this" {
  for_each = var.nat_gateway ? { for key, prefix in var.subnets : key => prefix if key != "endpoints" } : {}

  subnet_id      = azurerm_subnet.this[each.key].id
  nat_gateway_id = azurerm_nat_gateway.this[0].id
}
