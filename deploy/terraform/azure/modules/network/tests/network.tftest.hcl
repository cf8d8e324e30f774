mock_provider "azurerm" {
  mock_resource "azurerm_subnet" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/virtualNetworks/heddle/subnets/any" }
  }
  mock_resource "azurerm_network_security_group" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/networkSecurityGroups/any" }
  }
  mock_resource "azurerm_nat_gateway" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/natGateways/any" }
  }
  mock_resource "azurerm_public_ip" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mesh/providers/Microsoft.Network/publicIPAddresses/any" }
  }
}

variables {
  resource_group_name = "mesh"
  location            = "westeurope"
}

run "closed_by_default" {
  command = apply

  assert {
    condition = alltrue([
      for group in azurerm_network_security_group.this : anytrue([
        for rule in group.security_rule :
        rule.direction == "Inbound" && rule.access == "Deny" && rule.priority == 4096 && rule.source_address_prefix == "*" && rule.destination_port_range == "*" && rule.protocol == "*"
      ])
    ])
    error_message = "A group lets in what no rule names."
  }

  assert {
    condition = alltrue([
      for group in azurerm_network_security_group.this : anytrue([
        for rule in group.security_rule : rule.direction == "Outbound" && rule.access == "Deny" && rule.priority == 4096 && rule.destination_address_prefix == "*"
      ])
    ])
    error_message = "A group lets out what no rule names."
  }

  assert {
    condition = [
      for pair in flatten([for key, group in azurerm_network_security_group.this : [
        for rule in group.security_rule : "${key} ${rule.name} ${rule.destination_port_range}"
        if rule.direction == "Inbound" && rule.access == "Allow" && contains(concat([rule.source_address_prefix], tolist(rule.source_address_prefixes)), "Internet")
      ]]) : pair
    ] == ["gateways ingress 8080"]
    error_message = "The Internet reaches more than the gateways' ports."
  }

  assert {
    condition = length([
      for rule in flatten([for group in azurerm_network_security_group.this : tolist(group.security_rule)]) : rule
      if rule.direction == "Inbound" && rule.access == "Allow" && (contains(["*", "0.0.0.0/0", "VirtualNetwork"], rule.source_address_prefix) || rule.destination_port_range == "*" || contains(concat([rule.destination_port_range], tolist(rule.destination_port_ranges)), "22"))
    ]) == 0
    error_message = "A rule lets in everybody, on all ports, or to port 22."
  }

  assert {
    condition = [
      for rule in azurerm_network_security_group.this["control_plane"].security_rule : rule.source_address_prefix
      if rule.direction == "Inbound" && rule.access == "Allow" && contains(rule.destination_port_ranges, "2379")
    ] == ["10.60.0.0/24"]
    error_message = "Others than control planes reach etcd."
  }

  assert {
    condition     = alltrue([for subnet in azurerm_subnet.this : !subnet.default_outbound_access_enabled && subnet.private_endpoint_network_policies == "Enabled"])
    error_message = "A subnet has Azure's default way out, or private endpoints beyond the rules."
  }

  assert {
    condition     = keys(azurerm_subnet_network_security_group_association.this) == keys(azurerm_subnet.this)
    error_message = "A subnet has no security group."
  }

  assert {
    condition     = keys(output.subnet_ids) == ["backends", "control_plane", "endpoints", "gateways"] && output.subnet_prefixes.gateways == "10.60.1.0/24"
    error_message = "The outputs do not name the subnets."
  }
}

run "ssh_when_asked_for" {
  command = plan

  variables {
    ssh_sources = ["10.9.0.0/27"]
  }

  assert {
    condition = {
      for key, group in azurerm_network_security_group.this : key => [
        for rule in group.security_rule : rule.source_address_prefix if rule.destination_port_range == "22"
      ]
    } == { backends = ["10.9.0.0/27"], control_plane = ["10.9.0.0/27"], endpoints = [], gateways = ["10.9.0.0/27"] }
    error_message = "Port 22 is open to others than asked for, or where there is no machine."
  }
}

run "a_firewall_instead_of_a_nat_gateway" {
  command = plan

  variables {
    nat_gateway = false
  }

  assert {
    condition     = length(azurerm_public_ip.nat) == 0 && length(azurerm_nat_gateway.this) == 0 && length(azurerm_subnet_nat_gateway_association.this) == 0 && output.nat_address == null
    error_message = "There is a NAT gateway although none was asked for."
  }
}

run "ports_and_sources" {
  command = plan

  variables {
    ingress_ports   = [8080, 8443]
    ingress_sources = ["203.0.113.0/24", "198.51.100.7/32"]
    backend_ports   = [9000]
  }

  assert {
    condition     = length([for rule in flatten([for group in azurerm_network_security_group.this : tolist(group.security_rule)]) : rule if rule.direction == "Inbound" && rule.source_address_prefix == "Internet"]) == 0
    error_message = "The Internet is let in although sources were named."
  }

  assert {
    condition     = anytrue([for rule in azurerm_network_security_group.this["gateways"].security_rule : rule.name == "ingress" && rule.destination_port_ranges == toset(["8080", "8443"]) && rule.source_address_prefixes == toset(var.ingress_sources)])
    error_message = "The gateways' ports are not open to those who were named."
  }

  assert {
    condition     = anytrue([for rule in azurerm_network_security_group.this["backends"].security_rule : rule.name == "mesh" && rule.destination_port_range == "9000" && rule.source_address_prefixes == toset(["10.60.1.0/24", "10.60.4.0/22"])])
    error_message = "Gateways do not reach the backends' port."
  }
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables {
    name = "Heddle"
  }
  expect_failures = [var.name]
}

run "refuses_the_id_of_a_group" {
  command = plan
  variables {
    resource_group_name = "/subscriptions/x/resourceGroups/mesh"
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

run "refuses_addresses_that_are_none" {
  command = plan
  variables {
    address_space = "10.60.0.0"
  }
  expect_failures = [var.address_space]
}

run "refuses_a_range_in_the_middle" {
  command = plan
  variables {
    address_space = "10.60.0.7/16"
  }
  expect_failures = [var.address_space]
}

run "refuses_a_subnet_outside" {
  command = plan
  variables {
    subnets = { backends = "10.61.0.0/24" }
  }
  expect_failures = [var.subnets]
}

run "refuses_subnets_that_overlap" {
  command = plan
  variables {
    subnets = { backends = "10.60.0.128/25" }
  }
  expect_failures = [var.subnets]
}

run "refuses_a_subnet_that_is_none" {
  command = plan
  variables {
    subnets = { gateways = "gateways" }
  }
  expect_failures = [var.subnets]
}

run "refuses_a_subnet_too_small_for_azure" {
  command = plan
  variables {
    subnets = { gateways = "10.60.1.0/30" }
  }
  expect_failures = [var.subnets]
}

run "refuses_ssh_for_everybody" {
  command = plan
  variables {
    ssh_sources = ["0.0.0.0/0"]
  }
  expect_failures = [var.ssh_sources]
}

run "refuses_ssh_for_the_internet" {
  command = plan
  variables {
    ssh_sources = ["Internet"]
  }
  expect_failures = [var.ssh_sources]
}

run "refuses_ssh_as_ingress" {
  command = plan
  variables {
    ingress_ports = [22]
  }
  expect_failures = [var.ingress_ports]
}

run "refuses_sources_that_are_none" {
  command = plan
  variables {
    ingress_sources = ["everybody"]
  }
  expect_failures = [var.ingress_sources]
}

run "refuses_etcd_for_machines_of_the_mesh" {
  command = plan
  variables {
    control_plane_ports = [7443, 2379]
  }
  expect_failures = [var.control_plane_ports]
}

run "refuses_ports_that_are_none" {
  command = plan
  variables {
    backend_ports = [0]
  }
  expect_failures = [var.backend_ports]
}

run "refuses_tags_of_machines" {
  command = plan
  variables {
    tags = { heddle-service = "shop" }
  }
  expect_failures = [var.tags]
}

run "refuses_a_tag_that_azure_does" {
  command = plan
  variables {
    tags = { "cost/center" = "shop" }
  }
  expect_failures = [var.tags]
}
