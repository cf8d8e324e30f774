variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "heddle-edge"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,28}[a-z0-9]$", var.name))
    error_message = "name is 2 to 30 lower-case letters, digits and inner hyphens, and begins with a letter, such as heddle-prod."
  }
}

variable "resource_group_name" {
  description = "The resource group that all is made in."
  type        = string

  validation {
    condition     = can(regex("^[\\w.()-]{0,89}[\\w()-]$", var.resource_group_name))
    error_message = "resource_group_name is the name of a resource group, not its id: 1 to 90 letters, digits and _ - ( ) . without a period at the end."
  }
}

variable "location" {
  description = "The region, such as westeurope."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location is a region's short name, such as westeurope, not \"West Europe\"."
  }
}

variable "subnet_id" {
  description = "The subnet of the gateways."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", var.subnet_id))
    error_message = "subnet_id is the id of a subnet: /subscriptions/…/virtualNetworks/…/subnets/…."
  }
}

variable "gateway" {
  description = "The name of the gateway, which routes name it by."
  type        = string
  default     = "edge"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.gateway))
    error_message = "gateway is lower-case letters, digits and inner hyphens, 63 at most."
  }
}

variable "gateway_count" {
  description = "How many machines run it."
  type        = number
  default     = 2

  validation {
    condition     = var.gateway_count >= 1 && var.gateway_count <= 100 && floor(var.gateway_count) == var.gateway_count
    error_message = "gateway_count is a whole number from 1 to 100."
  }
}

variable "control_plane" {
  description = "Where the control planes are: what the module control-plane puts out as connection."
  type = object({
    server = string       # REST over TLS
    xds    = list(string) # xDS over TLS, one of each
  })

  validation {
    condition     = can(regex("^https://[^/]+:[0-9]+$", var.control_plane.server))
    error_message = "control_plane.server is such as https://control-plane.heddle.internal:7443: join tokens never go over plain text."
  }

  validation {
    condition     = length(var.control_plane.xds) > 0 && alltrue([for address in var.control_plane.xds : can(regex("^[A-Za-z0-9.-]+:[0-9]+$", address))])
    error_message = "control_plane.xds are addresses such as 10.60.0.10:18443, one at least."
  }
}

variable "join_secret" {
  description = "The Key Vault's secret with the join token: an entry of the output join_secrets of control-plane."
  type        = object({ id = string, vault_url = string })

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.KeyVault/vaults/[^/]+/secrets/[^/]+$", var.join_secret.id))
    error_message = "join_secret.id is the id of one secret (…/vaults/…/secrets/…): the right to read is given for nothing wider."
  }

  validation {
    condition     = can(regex("^https://[A-Za-z0-9-]+[.][A-Za-z0-9.-]+$", var.join_secret.vault_url))
    error_message = "join_secret.vault_url is the vault's address, https://NAME.vault.azure.net: the token itself is never an input."
  }
}

variable "releases" {
  description = "Where the machines fetch their programs, heddle and Envoy, and the SHA-256 of what is there: nothing else is installed."
  type = object({
    heddle = object({ url = string, sha256 = string })
    envoy  = object({ url = string, sha256 = string })
  })

  validation {
    condition     = alltrue([for release in values(var.releases) : startswith(release.url, "https://") && can(regex("^[0-9a-f]{64}$", release.sha256))])
    error_message = "Each release has a url that begins with https:// and its sha256, 64 lower-case hexadecimal digits (sha256sum prints it)."
  }
}

variable "frontend_port" {
  description = "The port of the load balancer's address."
  type        = number
  default     = 80

  validation {
    condition     = var.frontend_port >= 1 && var.frontend_port <= 65534 && floor(var.frontend_port) == var.frontend_port
    error_message = "frontend_port is a whole number from 1 to 65534."
  }
}

variable "http_port" {
  description = "The port that the gateways listen on, which the network's ingress_ports have to open."
  type        = number
  default     = 8080

  validation {
    condition     = var.http_port >= 1024 && var.http_port <= 65535 && floor(var.http_port) == var.http_port
    error_message = "http_port is a whole number from 1024 to 65535: gateways do not run as root."
  }
}

variable "certificate" {
  description = "For HTTPS: the name of a certificate in the Key Vault of join_secret, whose content type is application/x-pem-file. Left out, there is HTTP only."
  type        = string
  default     = null

  validation {
    condition     = var.certificate == null || can(regex("^[0-9A-Za-z-]{1,127}$", var.certificate))
    error_message = "certificate is the name of a certificate in the Key Vault: letters, digits and hyphens. Neither its id nor what is in it."
  }
}

variable "https_frontend_port" {
  description = "The port of the load balancer's address for HTTPS, with a certificate."
  type        = number
  default     = 443

  validation {
    condition     = var.https_frontend_port >= 1 && var.https_frontend_port <= 65534 && floor(var.https_frontend_port) == var.https_frontend_port && var.https_frontend_port != var.frontend_port
    error_message = "https_frontend_port is a whole number from 1 to 65534, and not frontend_port."
  }
}

variable "https_port" {
  description = "The port that the gateways listen on for HTTPS, with a certificate, which the network's ingress_ports have to open."
  type        = number
  default     = 8443

  validation {
    condition     = var.https_port >= 1024 && var.https_port <= 65535 && floor(var.https_port) == var.https_port && var.https_port != var.http_port
    error_message = "https_port is a whole number from 1024 to 65535, and not http_port."
  }
}

variable "vm_size" {
  description = "The size of the machines."
  type        = string
  default     = "Standard_D2s_v5"

  validation {
    condition     = can(regex("^(Standard|Basic)_[A-Za-z0-9_-]+$", var.vm_size))
    error_message = "vm_size is a size of Azure's, such as Standard_D2s_v5."
  }
}

variable "zones" {
  description = "The availability zones that the machines are spread over; [] in a region without any."
  type        = list(string)
  default     = ["1", "2", "3"]

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones) && alltrue([for zone in var.zones : contains(["1", "2", "3"], zone)])
    error_message = "zones are \"1\", \"2\" and \"3\", each once, or []."
  }
}

variable "image" {
  description = "The image that the machines start from: Debian 13, or another with cloud-init and systemd, of generation 2."
  type        = object({ publisher = string, offer = string, sku = string, version = string })
  default     = { publisher = "Debian", offer = "debian-13", sku = "13-gen2", version = "latest" }
}

variable "admin_username" {
  description = "The administrator of the machines. Nobody logs in by a password."
  type        = string
  default     = "heddle-admin"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.admin_username)) && !contains(["root", "admin", "administrator", "heddle", "user", "guest"], var.admin_username)
    error_message = "admin_username is 1 to 32 lower-case letters, digits and hyphens, and none of root, admin, administrator, user, guest (which Azure refuses), nor heddle, which the programs run as."
  }
}

variable "admin_ssh_public_key" {
  description = "The administrator's public SSH key, which Azure demands of every Linux machine without a password. Port 22 stays closed to everybody unless the network's ssh_sources open it."
  type        = string

  validation {
    condition     = can(regex("^(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/]+=* ?[^\n]*$", trimspace(var.admin_ssh_public_key))) && !strcontains(var.admin_ssh_public_key, "PRIVATE KEY")
    error_message = "admin_ssh_public_key is one line of a .pub file that begins with ssh-ed25519 or ssh-rsa: never a private key."
  }
}

variable "encryption_at_host" {
  description = "Whether disks and caches are encrypted on the host, too. The subscription has to have the feature Microsoft.Compute/EncryptionAtHost; at rest, disks always are."
  type        = bool
  default     = false
}

variable "disk_encryption_set_id" {
  description = "A disk encryption set with a key of yours; left out, Azure's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.disk_encryption_set_id == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Compute/diskEncryptionSets/[^/]+$", var.disk_encryption_set_id))
    error_message = "disk_encryption_set_id is the id of a disk encryption set: /subscriptions/…/diskEncryptionSets/…."
  }
}

variable "tags" {
  description = "Tags of all resources, beside those that say what the machines run."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "heddle-")])
    error_message = "Tags that begin with heddle- say what a machine runs: they have inputs of their own."
  }

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for key, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", key)) && length(value) <= 256])
    error_message = "Azure takes 50 tags here, with names of 1 to 512 characters without < > % & \\ ? /, and values of at most 256."
  }
}
