mock_provider "azurerm" {
  mock_resource "azurerm_subnet" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/virtualNetworks/heddle/subnets/any"
    }
  }
  mock_resource "azurerm_virtual_network" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/virtualNetworks/heddle"
    }
  }
  mock_resource "azurerm_network_security_group" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/networkSecurityGroups/any"
    }
  }
  mock_resource "azurerm_nat_gateway" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/natGateways/any"
    }
  }
  mock_resource "azurerm_public_ip" {
    defaults = {
      id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/publicIPAddresses/any"
      ip_address = "203.0.113.10"
    }
  }
  mock_data "azurerm_client_config" {
    defaults = {
      subscription_id = "00000000-0000-0000-0000-000000000000"
      tenant_id       = "22222222-2222-2222-2222-222222222222"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.ManagedIdentity/userAssignedIdentities/any"
      principal_id = "11111111-1111-1111-1111-111111111111"
      client_id    = "33333333-3333-3333-3333-333333333333"
    }
  }
  mock_resource "azurerm_key_vault" {
    defaults = {
      id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.KeyVault/vaults/mesh-join"
      vault_uri = "https://mesh-join.vault.azure.net/"
    }
  }
  mock_resource "azurerm_network_interface" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/networkInterfaces/any"
    }
  }
  mock_resource "azurerm_managed_disk" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Compute/disks/any"
    }
  }
  mock_resource "azurerm_linux_virtual_machine" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Compute/virtualMachines/any"
    }
  }
  mock_resource "azurerm_private_dns_zone" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/privateDnsZones/any.example"
    }
  }
  mock_resource "azurerm_private_endpoint" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/privateEndpoints/any"
    }
  }
  mock_resource "azurerm_lb" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/loadBalancers/edge"
    }
  }
  mock_resource "azurerm_lb_backend_address_pool" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/loadBalancers/edge/backendAddressPools/gateways"
    }
  }
  mock_resource "azurerm_lb_probe" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/loadBalancers/edge/probes/ready"
    }
  }
  mock_resource "azurerm_lb_rule" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Network/loadBalancers/edge/loadBalancingRules/http"
    }
  }
  mock_resource "azurerm_linux_virtual_machine_scale_set" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/heddle/providers/Microsoft.Compute/virtualMachineScaleSets/any"
    }
  }
}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000000"
  key_vault_name       = "mesh-join"
  admin_ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPDcOhBPHGe3J0cUmEEOxTvxSiAcqSdPB1X0pIEfSxS9 somebody"
  releases = {
    heddle = { url = "https://releases.example.com/heddle", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    envoy  = { url = "https://releases.example.com/envoy", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    etcd   = { url = "https://releases.example.com/etcd.tar.gz", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
}

run "a_mesh" {
  command = apply

  assert {
    condition     = output.public_address == "203.0.113.10" && output.control_plane == { server = "https://control-plane.heddle.internal:7443", xds = ["10.60.0.10:18443"] }
    error_message = "The example does not say where to go."
  }
}

run "scale_out" {
  command = apply

  variables {
    backend_count = 4
  }

  assert {
    condition     = output.public_address == run.a_mesh.public_address && output.control_plane == run.a_mesh.control_plane
    error_message = "Scaling out moves what there was."
  }
}

run "three_control_planes" {
  command   = apply
  state_key = "three"

  variables {
    control_plane_count = 3
  }

  assert {
    condition     = output.control_plane_addresses == ["10.60.0.10", "10.60.0.11", "10.60.0.12"]
    error_message = "There are not three control planes."
  }
}

run "refuses_a_subscription_by_its_name" {
  command = plan
  variables {
    subscription_id = "my-subscription"
  }
  expect_failures = [var.subscription_id]
}
