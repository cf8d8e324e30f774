variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "heddle-backends"

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
  description = "The subnet of the backends."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", var.subnet_id))
    error_message = "subnet_id is the id of a subnet: /subscriptions/…/virtualNetworks/…/subnets/…."
  }
}

variable "service" {
  description = "The service that these machines are instances of: their tag heddle-service."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.service))
    error_message = "service is lower-case letters, digits and inner hyphens, 63 at most."
  }
}

variable "port" {
  description = "The port that it listens on, which the network's backend_ports have to open: their tag heddle-port."
  type        = number
  default     = 8080

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port && var.port != 22
    error_message = "port is a whole number from 1 to 65535, and not 22."
  }
}

variable "weight" {
  description = "Each machine's share of the traffic beside the others of the service: their tag heddle-weight."
  type        = number
  default     = 1

  validation {
    condition     = var.weight >= 1 && var.weight <= 1000 && floor(var.weight) == var.weight
    error_message = "weight is a whole number from 1 to 1000."
  }
}

variable "backend_count" {
  description = "How many machines there are. Another number is found by the control plane, and routed to, by itself."
  type        = number
  default     = 2

  validation {
    condition     = var.backend_count >= 0 && var.backend_count <= 600 && floor(var.backend_count) == var.backend_count
    error_message = "backend_count is a whole number from 0 to 600, the most that one scale set of an image has."
  }
}

variable "app_script" {
  description = "A script that installs and starts the application, run once as root at a machine's first boot. It is custom data: whoever may read the machine reads it, so it holds no secret."
  type        = string

  validation {
    condition     = startswith(var.app_script, "#!") && length(var.app_script) <= 16384
    error_message = "app_script begins with #!, such as #!/bin/sh, and has 16,384 characters at most."
  }

  validation {
    condition     = !can(regex("(hd[lj]_[0-9a-zA-Z]+_|PRIVATE KEY|AccountKey=|SharedAccessSignature)", var.app_script))
    error_message = "app_script holds a token or a key: have the machine fetch it with a managed identity instead."
  }
}

variable "health_path" {
  description = "The path that answers 200 when the machine can serve: Azure replaces machines no faster than their successors do."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/[^ ]*$", var.health_path))
    error_message = "health_path begins with /."
  }
}

variable "vm_size" {
  description = "The size of the machines."
  type        = string
  default     = "Standard_B2s"

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
    condition     = length(var.tags) <= 47 && alltrue([for key, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,512}$", key)) && length(value) <= 256])
    error_message = "Azure takes 47 tags here, with names of 1 to 512 characters without < > % & \\ ? /, and values of at most 256."
  }
}
