# The image that nodes boot from, by Packer (https://developer.hashicorp.com/packer). `./dev image bake` runs it with the values of
# [image] in infra/src/infra/stage.toml: nothing here is looked up, so the same values bake the same image.

packer {
  required_version = ">= 1.11.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.3.9"
    }
  }
}

variable "region" {
  type = string
}

variable "base" {
  type        = string
  description = "AMI of Debian 13 for arm64 in this region"
}

variable "day" {
  type        = string
  description = "Debian's archive as it was then, as 20261126T000000Z"
}

variable "ssm_agent" {
  type        = string
  description = "Version of Amazon's agent for Session Manager"
}

variable "bundle" {
  type        = string
  description = "Archive of build/media-node (tar)"
}

variable "release" {
  type        = string
  description = "Digest of what the bundle was built from"
}

variable "manifest" {
  type        = string
  description = "Where the AMI's id is written"
}

source "amazon-ebs" "media-node" {
  region                                    = var.region
  source_ami                                = var.base
  instance_type                             = "c7g.medium"
  ssh_username                              = "admin"
  temporary_security_group_source_public_ip = true
  imds_support                              = "v2.0"
  encrypt_boot                              = true
  ami_name                                  = "media-node-${var.release}-${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  ami_description                           = "Media node on Debian of ${var.day}"

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = 8
    volume_type           = "gp3"
    delete_on_termination = true
  }

  tags = {
    "callvoip:release" = var.release
    "callvoip:base"    = var.base
    "callvoip:day"     = var.day
  }
}

build {
  sources = ["source.amazon-ebs.media-node"]

  provisioner "file" {
    source      = var.bundle
    destination = "/tmp/media-node.tar"
  }

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} sh -eu {{ .Path }}"
    environment_vars = [
      "DAY=${var.day}",
      "AGENT=https://s3.${var.region}.amazonaws.com/amazon-ssm-${var.region}/${var.ssm_agent}/debian_arm64/amazon-ssm-agent.deb",
    ]
    inline = [
      "cloud-init status --wait >/dev/null || true",
      "mkdir /tmp/media-node && tar -xf /tmp/media-node.tar -C /tmp/media-node",
      "python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])' $AGENT /tmp/ssm-agent.deb",
      "dpkg -i /tmp/ssm-agent.deb",
      "sh /tmp/media-node/boot/bake.sh $DAY",
      # What would keep a node from booting ends the bake.
      "systemd-analyze verify --man=no /etc/systemd/system/media-node.service",
      "systemd-analyze security --offline=true --threshold=20 /etc/systemd/system/media-node.service >/dev/null",
      "rm -rf /tmp/media-node /tmp/media-node.tar /tmp/ssm-agent.deb",
    ]
  }

  post-processor "manifest" {
    output = var.manifest
  }
}
