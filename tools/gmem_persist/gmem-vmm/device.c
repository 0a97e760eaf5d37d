// SPDX-License-Identifier: GPL-2.0
/*
 * Devices. KVM has the interrupt controllers and the PIT. Here are a serial port, as the
 * guest's console on our standard output, and the ports by which a guest ends itself.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define COM1		0x3f8
#define COM1_IRQ	4
#define KBD_STATUS	0x64		/* of the i8042, of which there is no more */
#define KBD_RESET	0xfe
#define DEBUG_EXIT	0xf4		/* as QEMU's isa-debug-exit */
#define PORT_LOADED	0xf1		/* boot.c: private memory has its contents */

#define UART_IER_THRI	0x02
#define UART_IIR_NO_INT	0x01
#define UART_IIR_THRI	0x02
#define UART_IIR_FIFO	0xc0
#define UART_LCR_DLAB	0x80
#define UART_LSR_EMPTY	0x60
#define UART_MCR_LOOP	0x10
#define UART_MSR_READY	0xb0		/* somebody listens */

/**
 * device_create - the devices of a new VM
 * @vm: the VM
 */
void device_create(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = 0xfffbc000;

	/* Pages in the gap that KVM wants on Intel's CPUs. */
	XIOCTL(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	XIOCTL(vm->fd, KVM_SET_TSS_ADDR, identity_map + PAGE);
	XIOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	XIOCTL(vm->fd, KVM_CREATE_PIT2, &pit);
	pthread_mutex_init(&vm->device_lock, NULL);
	vm->uart.thr_empty = 1;
}

/**
 * device_update_irq - put the serial port's interrupt to what its registers say
 * @vm: the VM
 */
void device_update_irq(struct vm *vm)
{
	struct kvm_irq_level line = {
		.irq = COM1_IRQ,
		.level = (vm->uart.ier & UART_IER_THRI) && vm->uart.thr_empty,
	};

	if (line.level == vm->uart_irq)
		return;
	XIOCTL(vm->fd, KVM_IRQ_LINE, &line);
	vm->uart_irq = line.level;
}

/* As on a real line, what nobody takes is lost. */
static void send(uint8_t value)
{
	while (write(STDOUT_FILENO, &value, 1) < 0 && errno == EINTR)
		;
}

static void uart_write(struct vm *vm, unsigned int reg, uint8_t value)
{
	struct uart *uart = &vm->uart;
	const bool dlab = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case 0:
		if (dlab) {
			uart->dll = value;
			break;
		}
		if (!(uart->mcr & UART_MCR_LOOP))
			send(value);
		uart->thr_empty = 1;
		break;
	case 1:
		if (dlab) {
			uart->dlm = value;
			break;
		}
		if (value & ~uart->ier & UART_IER_THRI)
			uart->thr_empty = 1;
		uart->ier = value & 0x0f;
		break;
	case 2:
		uart->fifo = value & 1;
		break;
	case 3:
		uart->lcr = value;
		break;
	case 4:
		uart->mcr = value & 0x1f;
		break;
	case 7:
		uart->scr = value;
		break;
	}
	device_update_irq(vm);
}

static uint8_t uart_read(struct vm *vm, unsigned int reg)
{
	struct uart *uart = &vm->uart;
	const bool dlab = uart->lcr & UART_LCR_DLAB;
	uint8_t value = 0;

	switch (reg) {
	case 0:
		return dlab ? uart->dll : 0;
	case 1:
		return dlab ? uart->dlm : uart->ier;
	case 2:
		value = UART_IIR_NO_INT;
		if ((uart->ier & UART_IER_THRI) && uart->thr_empty) {
			value = UART_IIR_THRI;
			uart->thr_empty = 0;
			device_update_irq(vm);
		}
		return value | (uart->fifo ? UART_IIR_FIFO : 0);
	case 3:
		return uart->lcr;
	case 4:
		return uart->mcr;
	case 5:
		return UART_LSR_EMPTY;
	case 6:
		/* Looped back are RTS, DTR, OUT1, OUT2 to CTS, DSR, RI, DCD. */
		if (uart->mcr & UART_MCR_LOOP)
			return (uart->mcr & 2) << 3 | (uart->mcr & 1) << 5 | (uart->mcr & 12) << 4;
		return UART_MSR_READY;
	default:
		return uart->scr;
	}
}

static void end_guest(struct vm *vm, const char *reason)
{
	vm->reason = reason;
	vm->ended = STATUS_OK;
}

static void out(struct vm *vm, uint16_t port, uint8_t value)
{
	if (port >= COM1 && port < COM1 + 8)
		uart_write(vm, port - COM1, value);
	else if (port == KBD_STATUS && value == KBD_RESET)
		end_guest(vm, "the guest reset itself");
	else if (port == DEBUG_EXIT)
		end_guest(vm, "the guest is done");
	else if (port == PORT_LOADED)
		memory_drop_staging(vm);
}

static uint8_t in(struct vm *vm, uint16_t port)
{
	if (port >= COM1 && port < COM1 + 8)
		return uart_read(vm, port - COM1);
	/* Ready for a command: a kernel that wants to reset waits for that. */
	return port == KBD_STATUS ? 0 : 0xff;
}

/**
 * device_io - the guest used a port
 * @vm: the VM
 * @run: of a vCPU that stopped with KVM_EXIT_IO
 */
void device_io(struct vm *vm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i, byte;

	pthread_mutex_lock(&vm->device_lock);
	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			out(vm, run->io.port, data[0]);
			continue;
		}
		for (byte = 0; byte < run->io.size; byte++)
			data[byte] = in(vm, run->io.port + byte);
	}
	pthread_mutex_unlock(&vm->device_lock);
}
