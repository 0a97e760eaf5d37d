# SPDX-License-Identifier: GPL-2.0
#
# cpuid.csv of the kernel's tree -> a table of C: all that is one bit of one word
BEGIN { FS = " *, *"; print "#include \"cpu.h\"\n\nconst struct cpu_name cpu_names[] = {" }
!/^ *#/ && NF >= 5 && $4 ~ /^[0-9]+$/ && $2 ~ /^ *[0-9]+ *$/ {
	gsub(/ /, "", $1)
	gsub(/ /, "", $5)
	printf "\t{ %s, %d, CPU_%s, %d, \"%s\" },\n", $1, $2, toupper($3), $4, $5
}
END { print "};\n\nconst size_t nr_cpu_names = sizeof(cpu_names) / sizeof(*cpu_names);" }
