variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "heddle"

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
  description = "The subnet of the control planes."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", var.subnet_id))
    error_message = "subnet_id is the id of a subnet: /subscriptions/…/virtualNetworks/…/subnets/…."
  }
}

variable "subnet_prefix" {
  description = "The addresses of that subnet. The control planes have its 11th and following, always the same ones."
  type        = string

  validation {
    condition     = try(cidrhost(var.subnet_prefix, 0) == split("/", var.subnet_prefix)[0] && tonumber(split("/", var.subnet_prefix)[1]) <= 28, false)
    error_message = "subnet_prefix is an IPv4 range of at least 16 addresses such as 10.60.0.0/24, written with its first address."
  }
}

variable "endpoints_subnet_id" {
  description = "The subnet of the Key Vault's private endpoint."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", var.endpoints_subnet_id))
    error_message = "endpoints_subnet_id is the id of a subnet: /subscriptions/…/virtualNetworks/…/subnets/…."
  }
}

variable "virtual_network_id" {
  description = "The network that the names of the control plane and of the Key Vault are known in."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+$", var.virtual_network_id))
    error_message = "virtual_network_id is the id of a network: /subscriptions/…/virtualNetworks/…."
  }
}

variable "key_vault_name" {
  description = "The Key Vault that join tokens are handed over in. No other vault in the world may have the name, for 90 days after it was deleted, too."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$", var.key_vault_name)) && !strcontains(var.key_vault_name, "--")
    error_message = "key_vault_name is 3 to 24 letters, digits and single inner hyphens, and begins with a letter."
  }
}

variable "control_plane_count" {
  description = "1: etcd runs in the control plane's own process. 3: each machine has a member of an etcd cluster besides, and one may fail."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 3], var.control_plane_count)
    error_message = "control_plane_count is 1 or 3: two would stand still as soon as one of them fails."
  }
}

variable "gateways" {
  description = "The names of the gateways that join tokens are made for."
  type        = set(string)
  default     = ["edge"]

  validation {
    condition     = alltrue([for name in var.gateways : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "Names of gateways are lower-case letters, digits and inner hyphens, 63 at most."
  }
}

variable "discovered_resource_groups" {
  description = "Resource groups whose machines the control plane finds by their tags, beside its own: in the same subscription."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.discovered_resource_groups : can(regex("^[\\w.()-]{0,89}[\\w()-]$", name))])
    error_message = "discovered_resource_groups are names of resource groups, not their ids."
  }
}

variable "releases" {
  description = "Where the machines fetch their programs, and the SHA-256 of what is there: nothing else is installed. heddle is a program; etcd, for three control planes, is etcd's archive (.tar.gz)."
  type = object({
    heddle = object({ url = string, sha256 = string })
    etcd   = optional(object({ url = string, sha256 = string }))
  })

  validation {
    condition     = alltrue([for release in values(var.releases) : release == null ? true : startswith(release.url, "https://") && can(regex("^[0-9a-f]{64}$", release.sha256))])
    error_message = "Each release has a url that begins with https:// and its sha256, 64 lower-case hexadecimal digits (sha256sum prints it)."
  }

  validation {
    condition     = var.control_plane_count == 1 || var.releases.etcd != null
    error_message = "Three control planes need releases.etcd."
  }
}

variable "dns_zone" {
  description = "The private DNS zone in which the control planes are called control-plane."
  type        = string
  default     = "heddle.internal"

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.dns_zone))
    error_message = "dns_zone is a name of at least two parts in lower-case letters, such as heddle.internal."
  }
}

variable "key_vault_dns_zone" {
  description = "The private DNS zone of Key Vaults in this cloud."
  type        = string
  default     = "privatelink.vaultcore.azure.net"

  validation {
    condition     = contains(["privatelink.vaultcore.azure.net", "privatelink.vaultcore.usgovcloudapi.net", "privatelink.vaultcore.azure.cn"], var.key_vault_dns_zone)
    error_message = "key_vault_dns_zone is privatelink.vaultcore. and azure.net, usgovcloudapi.net or azure.cn."
  }
}

variable "data_disk_gb" {
  description = "The size of the disk that outlives its machine, with the registry and the certificate authority on it, in GiB."
  type        = number
  default     = 32

  validation {
    condition     = var.data_disk_gb >= 8 && var.data_disk_gb <= 4095 && floor(var.data_disk_gb) == var.data_disk_gb
    error_message = "data_disk_gb is a whole number from 8 to 4095."
  }
}

variable "run_command" {
  description = "Whether who has rights on the machines in Azure may run commands on them (az vm run-command), which is how the first declarations are written without SSH. False refuses all extensions."
  type        = bool
  default     = true
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
