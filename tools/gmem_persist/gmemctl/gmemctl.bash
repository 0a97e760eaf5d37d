# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion for gmemctl(8): copy it to /usr/share/bash-completion/completions/gmemctl

_gmemctl() {
	local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} names
	COMPREPLY=()
	case $last in
	gmemctl)
		mapfile -t COMPREPLY < <(compgen -W \
			"status watch list show token quota create discard attach freeze thaw decode" -- "$word") ;;
	show)
		names=$(gmemctl list 2>/dev/null | awk 'NR > 1 { print $5 }')
		mapfile -t COMPREPLY < <(compgen -W "--json --field $names" -- "$word") ;;
	--field)
		mapfile -t COMPREPLY < <(compgen -W "name size length granule kind state views
			generation flags vm_class uuid token nodes bad_pages ranges" -- "$word") ;;
	attach)
		COMPREPLY=() ;;
	discard)
		names=$(gmemctl list 2>/dev/null | awk 'NR > 1 && $4 == "parked" { print $5 }')
		mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word") ;;
	--granule)
		mapfile -t COMPREPLY < <(compgen -W "2M 1G" -- "$word") ;;
	quota)
		mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	token)
		mapfile -t COMPREPLY < <(compgen -f -W "--json" -- "$word") ;;
	decode)
		mapfile -t COMPREPLY < <(compgen -f -W "--json" -- "$word") ;;
	*)
		case ${COMP_WORDS[1]} in
		create)
			mapfile -t COMPREPLY < <(compgen -W \
				"--granule --nodes --private" -- "$word") ;;
		attach)
			mapfile -t COMPREPLY < <(compgen -W \
				"--slot --granule --private --data" -- "$word") ;;
		watch)
			mapfile -t COMPREPLY < <(compgen -W "--interval --json" -- "$word") ;;
		quota)
			mapfile -t COMPREPLY < <(compgen -W "--bytes --names --json" -- "$word") ;;
		status | list | show | token | decode)
			mapfile -t COMPREPLY < <(compgen -W "--json" -- "$word") ;;
		esac ;;
	esac
}
complete -F _gmemctl gmemctl
